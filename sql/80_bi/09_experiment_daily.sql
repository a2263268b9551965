-- recsql_api.experiment_daily: one row per experiment, day (UTC) and variant.
create view recsql_api.experiment_daily as
select
    e.experiment,
    d.day::date as day,
    r.variant,
    r.is_control,
    r.n_users,
    r.mean,
    r.cuped_difference,
    r.cuped_fixed_lo,
    r.cuped_fixed_hi,
    r.cuped_always_lo,
    r.cuped_always_hi,
    r.lift,
    r.verdict,
    r.split_p
from recsql.experiment as e
cross join lateral generate_series(
    date_trunc('day', e.started_at at time zone 'UTC'),
    coalesce(e.ended_at, now()) at time zone 'UTC',
    interval '1 day'
) as d (day)
cross join lateral recsql.experiment_estimate(e.experiment_no, (d.day + interval '1 day') at time zone 'UTC') as r;

comment on view recsql_api.experiment_daily is
'One row per experiment, day (UTC) and variant: experiment_result as it was at the end of the day, to be drawn as a curve. Every day is computed '
'from the log, so ask for one experiment at a time.';
