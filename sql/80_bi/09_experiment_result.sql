-- recsql_api.experiment_result: one row per experiment and variant.
create view recsql_api.experiment_result as
select
    e.experiment,
    e.slot,
    e.state,
    e.metric,
    e.started_at,
    e.ended_at,
    r.*
from recsql.experiment as e
cross join lateral recsql.experiment_estimate(e.experiment_no) as r;

comment on view recsql_api.experiment_result is
'One row per experiment and variant: what came of its users from their first request in it on. mean: reward per user, or per request where that '
'is the metric; difference: to the control, null for the control itself; fixed_lo, fixed_hi: interval for whoever looks once, at a time that was '
'decided before; always_lo, always_hi: holds at all times at once, so that one may look daily and stop at will; cuped_…: the same, adjusted for '
'what users did before (CUPED), which leaves variance_left of the variance; lift, lift_lo, lift_hi: the adjusted difference over the mean of '
'the control, where that is above 0, and its always-valid interval, where it is so for sure; verdict: better, worse or cannot tell, by cuped_always_lo and '
'cuped_always_hi alone, with the reason why it cannot tell; split_p: how probable so uneven a split of the users is by chance; is_split_wrong: below 0.001, in '
'which case something is broken. Intervals are of level 1 - alpha for all variants together.';
