-- recsql_api.embedding_progress: one row per embedding space.
create view recsql_api.embedding_progress as
with counted as (
    select
        s.space_no,
        e.n_embedded,
        e.last_embedded_at,
        e.n_last_minute / 60.0 as items_per_s,
        (select count(*) from recsql.embedding_task as t where t.space_no = s.space_no) as n_pending,
        (select count(*) from recsql.embedding_failure as f where f.space_no = s.space_no) as n_failed
    from recsql.embedding_space as s
    cross join lateral (
        select
            count(*) as n_embedded,
            max(v.embedded_at) as last_embedded_at,
            count(*) filter (where v.embedded_at > now() - interval '1 min') as n_last_minute
        from recsql.item_embedding as v
        where v.space_no = s.space_no
    ) as e
)

select
    s.space,
    s.modality,
    s.model,
    s.status,
    c.n_embedded,
    c.n_pending,
    c.n_failed,
    c.last_embedded_at,
    c.items_per_s,
    case when c.items_per_s > 0 then c.n_pending / c.items_per_s * interval '1 s' end as time_left
from recsql.embedding_space as s
inner join counted as c on c.space_no = s.space_no;

comment on view recsql_api.embedding_progress is
'One row per embedding space: n_embedded: vectors that are there (stale ones included); n_pending: items that wait, those that are '
'tried again later included; n_failed: items that failed for good until their content changes; items_per_s: mean of the last '
'minute; time_left: of what waits at that rate, null where nothing was embedded in it. modality: text, image, audio or unified; '
'status: active (served), building or retired.';
