-- recsql_api.user_group_fairness: one row per offline run, method, key, group of users, metric and cut-off.
create view recsql_api.user_group_fairness as
select
    f.run_no,
    s.protocol,
    s.part,
    f.method,
    f.key,
    f.user_group,
    f.metric,
    f.k,
    f.value,
    f.lo,
    f.hi,
    f.n_users,
    f.evaluated_at
from recsql.user_group_fairness as f
inner join recsql.run as r on r.run_no = f.run_no
inner join recsql.split as s on s.split_no = r.split_no;

comment on view recsql_api.user_group_fairness is
'One row per offline run, method, key (an attribute of users), group (a value of it), metric and cut-off: the mean over the group''s users, with '
'its 95 % bootstrap interval. metric: ndcg; recall, which is the true positive rate; ndcg_gap and recall_gap, the best group less the worst, '
'the latter the difference in equal opportunity, under user_group ''best - worst'': an interval that contains 0 is no evidence of a difference. '
'n_users: in the group, of a gap in both.';
