-- recsql_api.policy_value: one row per off-policy evaluation, estimator and form.
create view recsql_api.policy_value as
select
    e.evaluation_no,
    p.policy,
    p.kind,
    e.slot,
    e.logging_policy,
    e.from_at,
    e.until_at,
    f.estimator,
    f.form,
    f.value,
    f.lo,
    f.hi,
    e.logging_value,
    f.difference,
    f.difference_lo,
    f.difference_hi,
    f.effective_size,
    e.n_requests,
    concat_ws(' ', f.form, f.estimator) = e.estimator as decides,
    e.verdict,
    e.reason,
    e.evaluated_at,
    row_number() over (
        partition by e.ranking_policy_no, e.slot, f.estimator, f.form order by e.evaluated_at desc, e.evaluation_no desc
    ) = 1 as is_newest
from recsql.policy_evaluation as e
inner join recsql.ranking_policy as p on p.ranking_policy_no = e.ranking_policy_no
left join lateral jsonb_to_recordset(e.estimates -> 'estimates') as f (
    estimator text,
    form text,
    value double precision,
    lo double precision,
    hi double precision,
    difference double precision,
    difference_lo double precision,
    difference_hi double precision,
    effective_size double precision
) on true;

comment on view recsql_api.policy_value is
'One row per off-policy evaluation (recsql ope, recsql promote), estimator and form: what the ranking policy would have been worth, as mean '
'reward of a request, with its 95 % interval, beside logging_value, that of what was logged from from_at until until_at. difference: to '
'logging_value, paired by request; effective_size: how many requests of the policy itself would tell as much; decides: whether the verdict '
'(better, worse, cannot tell) is formed by this row; is_newest: of the newest evaluation of the policy in the slot. An evaluation without '
'requests is one row without an estimator.';
