-- recsql.embedding_backlog: one row per item and active space whose vector is missing or stands for other content.
create view recsql.embedding_backlog as
with content as (
    select
        s.space_no,
        i.item_no,
        recsql.item_content(i, s.template) as content
    from recsql.embedding_space as s
    cross join recsql.item as i
    where s.status <> 'retired' and s.modality = 'text'
),

hashed as (
    select
        c.space_no,
        c.item_no,
        c.content,
        sha256(convert_to(c.content, 'UTF8')) as content_hash
    from content as c
    where c.content is not null
)

select
    h.space_no,
    h.item_no,
    h.content,
    h.content_hash
from hashed as h
left join recsql.item_embedding as e on e.space_no = h.space_no and e.item_no = h.item_no
left join recsql.embedding_failure as f on f.space_no = h.space_no and f.item_no = h.item_no
where
    e.content_hash is distinct from h.content_hash
    and f.content_hash is distinct from h.content_hash;

comment on view recsql.embedding_backlog is
'One row per item and space whose vector is missing or stands for other content; items that failed are left out until their '
'content changes.';
