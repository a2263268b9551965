-- recsql.outcome: one row per impression.
create view recsql.outcome as
select
    i.request_id,
    i.position,
    i.user_no,
    i.item_no,
    i.policy,
    i.run_no,
    i.propensity,
    i.conditional,
    i.at,
    coalesce(o.n_outcomes, 0) as n_outcomes,
    coalesce(o.reward, 0) as reward,
    o.delay,
    case when i.propensity is null then 'its propensity is not known' end as reason
from recsql.impression as i
left join (
    select c.request_id, c.position, c.item_no, count(*) as n_outcomes, sum(c.reward) as reward, min(c.delay) as delay
    from recsql.outcome_claim as c
    where c.reason is null
    group by c.request_id, c.position, c.item_no
) as o on o.request_id = i.request_id and o.position = i.position and o.item_no = i.item_no;

comment on view recsql.outcome is
'One row per impression with what came of it. n_outcomes: kinds of event that count, each once; reward: their sum, 0 where nothing '
'came; delay: to the first; reason: why no off-policy estimate can use the row, null where it can.';
