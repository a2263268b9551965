-- recsql_api.run_quality: one row per offline run, method, metric, cut-off and segment.
create view recsql_api.run_quality as
select
    e.run_no,
    s.protocol,
    s.part,
    e.method,
    e.metric,
    e.k,
    e.segment,
    e.value,
    e.lo,
    e.hi,
    e.n_users,
    e.evaluated_at
from recsql.evaluation as e
inner join recsql.run as r on r.run_no = e.run_no
inner join recsql.split as s on s.split_no = r.split_no;

comment on view recsql_api.run_quality is
'One row per offline run, method, metric, cut-off and segment: the mean over users, with its 95 % bootstrap interval. method: '
'a source, fused, or rrf; metric: ndcg, recall, mrr, map and coverage from 0 to 1, popularity_share from 0 to 1, novelty in '
'bits, diversity as cosine distance; of fused alone gini (of the exposure of items) and aplt (share of the tail) from 0 to 1, arp '
'(mean number of users of an item) and popularity_lift (of lists over histories, less 1); segment: all, or known and new for users '
'with and without history; run_no: as recsql status shows it.';
