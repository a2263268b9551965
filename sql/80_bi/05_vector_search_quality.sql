-- recsql_api.vector_search_quality: one row per day, set of vectors, kind of search and strategy.
create view recsql_api.vector_search_quality as
select
    (a.at at time zone 'UTC')::date as day,
    a.label as vectors,
    a.domain,
    a.filter,
    a.n,
    a.strategy,
    count(*) as n_searches,
    count(*) filter (where a.is_completed) as n_completed,
    avg(a.recall) as recall,
    min(a.recall) as least_recall,
    avg(a.n_estimated) as n_estimated,
    avg(a.n_matching) as n_matching,
    1000 * percentile_cont(0.5) within group (order by a.seconds) as p50_ms,
    1000 * percentile_cont(0.99) within group (order by a.seconds) as p99_ms,
    1000 * percentile_cont(0.5) within group (order by a.exact_seconds) as exact_p50_ms
from recsql.vector_search_audit as a
group by 1, 2, 3, 4, 5, 6;

comment on view recsql_api.vector_search_quality is
'One row per day (UTC), set of vectors, kind of search and strategy: searches that recsql audit replayed beside the exact answer. '
'vectors: the content space or the model; domain, filter: which items were to be found, null and {} for any; n: how many; '
'strategy: exact (all that match were compared) or index (HNSW); n_completed: searches in which the index found too few, so that '
'all were compared; recall, least_recall: mean and least share of the exact answer, from 0 to 1; n_estimated, n_matching: items '
'that match, as the plan took it and as counted; p50_ms, p99_ms: times of the search, exact_p50_ms of the exact one, in ms.';
