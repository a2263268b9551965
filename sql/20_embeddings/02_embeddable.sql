-- recsql.embeddable: one row per item and space that is not retired, where the item has something that the space embeds.
create view recsql.embeddable as
select
    s.space_no,
    s.modality,
    i.item_no,
    sha256(convert_to(recsql.item_content(i, s.template), 'UTF8')) as content_hash,
    null::text as provider
from recsql.embedding_space as s
cross join recsql.item as i
where s.status <> 'retired' and s.modality = 'text' and recsql.item_content(i, s.template) is not null
union all
select
    s.space_no,
    s.modality,
    m.item_no,
    sha256(string_agg(m.sha256, '' order by m.sha256)) as content_hash,
    -- Of several hosts one speaks for all: a fetch that fails there waits for it.
    min(lower(substring(m.uri from '^https?://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]+)'))) as provider
from recsql.embedding_space as s
inner join recsql.item_media as m on m.modality = s.modality
where s.status <> 'retired'
group by s.space_no, s.modality, m.item_no
union all
select
    s.space_no,
    s.modality,
    e.item_no,
    sha256(string_agg(convert_to(e.space_no::text, 'UTF8') || e.content_hash, '' order by e.space_no)) as content_hash,
    null::text as provider
from recsql.embedding_space as s
inner join recsql.item_embedding as e on e.space_no = any(s.source_nos)
where s.status <> 'retired' and s.modality = 'unified'
group by s.space_no, s.modality, e.item_no;

comment on view recsql.embeddable is
'One row per item and space, retired ones aside, whose content is there: text that the template makes, media of the modality, or, '
'for a unified space, vectors of the spaces that it unites. content_hash: sha256 of it all; provider: the host that media have '
'to be fetched from, null where there is none.';
