-- recsql_api.embedding_progress: one row per embedding space.
create view recsql_api.embedding_progress as
select
    s.space,
    s.modality,
    s.model,
    s.status,
    (select count(*) from recsql.item_embedding as e where e.space_no = s.space_no) as n_embedded,
    (select count(*) from recsql.embedding_backlog as b where b.space_no = s.space_no) as n_pending,
    (select count(*) from recsql.embedding_failure as f where f.space_no = s.space_no) as n_failed,
    (select max(e.embedded_at) from recsql.item_embedding as e where e.space_no = s.space_no) as last_embedded_at
from recsql.embedding_space as s;

comment on view recsql_api.embedding_progress is
'One row per embedding space: vectors that are there (stale ones included), items that wait, items that failed. modality: '
'text, image or audio; status: active, building or retired.';
