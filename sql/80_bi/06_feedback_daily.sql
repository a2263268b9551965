-- recsql_api.feedback_daily: one row per day, policy, position, domain and segment.
create view recsql_api.feedback_daily as
select
    (o.at at time zone 'UTC')::date as day,
    coalesce(o.policy, 'not told') as policy,
    o.position,
    i.domain,
    coalesce(recsql.user_segment(u.attributes, d.segment_keys)::text, 'unknown') as segment,
    count(*) as n_impressions,
    count(*) filter (where o.n_outcomes > 0) as n_clicked,
    sum(o.reward) as reward,
    sum(extract(epoch from o.delay)) as delay_s
from recsql.outcome as o
inner join recsql.item as i on i.item_no = o.item_no
inner join recsql.app_user as u on u.user_no = o.user_no
cross join recsql.decision_process as d
group by day, o.policy, o.position, i.domain, segment;

comment on view recsql_api.feedback_daily is
'One row per day (UTC), policy, position, domain of the item and segment of the user with impressions. n_impressions: items shown; '
'n_clicked: those with an outcome, of whatever kind recsql.reward has; reward: its sum; delay_s: seconds to the first outcome, summed over '
'n_clicked. segment: the user''s attributes named by recsql.decision_process.segment_keys, unknown where one is missing. All add up over rows.';
