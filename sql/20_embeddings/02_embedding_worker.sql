-- recsql.embedding_worker: one row per worker that is there.
create view recsql.embedding_worker as
select l.objid::integer as worker_no
from pg_locks as l
where
    l.locktype = 'advisory' and l.objsubid = 2 and l.granted
    and l.classid = 1701013868
    and l.database = (select d.oid from pg_database as d where d.datname = current_database());

comment on view recsql.embedding_worker is
'One row per embedding worker whose session is there: it holds the advisory lock (1701013868, its number), which ends with it, '
'however that happens.';
