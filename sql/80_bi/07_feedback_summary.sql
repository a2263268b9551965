-- recsql_api.feedback_summary: one row per dimension and value of it.
create view recsql_api.feedback_summary as
with summed as (
    select
        case
            when grouping(f.policy) = 0 then 'policy'
            when grouping(f.position) = 0 then 'position'
            when grouping(f.domain) = 0 then 'domain'
            when grouping(f.segment) = 0 then 'segment'
            else 'all'
        end as dimension,
        coalesce(f.policy, f.position::text, f.domain, f.segment, 'all') as value,
        sum(f.n_impressions) as n_impressions,
        sum(f.n_clicked) as n_clicked,
        sum(f.reward) as reward,
        sum(f.delay_s) as delay_s
    from recsql_api.feedback_daily as f
    group by grouping sets ((f.policy), (f.position), (f.domain), (f.segment), ())
),

rated as (
    -- Wilson's interval.
    select s.*, s.n_clicked / s.n_impressions as share, 1.959964 as z from summed as s where s.n_impressions > 0
)

select
    r.dimension,
    r.value,
    r.n_impressions::bigint as n_impressions,
    r.n_clicked::bigint as n_clicked,
    r.share::double precision as click_through,
    -- Rounding could take it below 0.
    greatest(0, (r.share + r.z ^ 2 / (2 * r.n_impressions)
        - r.z * sqrt(r.share * (1 - r.share) / r.n_impressions + r.z ^ 2 / (4 * r.n_impressions ^ 2)))
    / (1 + r.z ^ 2 / r.n_impressions))::double precision as click_through_lo,
    least(1, (r.share + r.z ^ 2 / (2 * r.n_impressions)
        + r.z * sqrt(r.share * (1 - r.share) / r.n_impressions + r.z ^ 2 / (4 * r.n_impressions ^ 2)))
    / (1 + r.z ^ 2 / r.n_impressions))::double precision as click_through_hi,
    r.reward / r.n_impressions::double precision as reward,
    (r.delay_s / nullif(r.n_clicked, 0))::double precision as mean_delay_s
from rated as r;

comment on view recsql_api.feedback_summary is
'One row per dimension (policy, position, domain, segment, all) and value of it that was shown. click_through: share of the impressions with '
'an outcome, with its 95 % interval (Wilson, impressions taken as independent); reward: mean per impression; mean_delay_s: seconds from '
'an impression to its first outcome, null without any.';
