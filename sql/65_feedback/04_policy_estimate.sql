-- recsql.policy_estimate: one row per estimator and form, and one of what was logged.
create function recsql.policy_estimate(
    p_ranking_policy_no integer,
    p_from timestamptz default null,
    p_until timestamptz default null,
    p_slot text default null,
    p_domain text default null,
    p_segment jsonb default null,
    p_logging_policy text default null,
    p_threshold double precision default 10,
    p_shrinkage double precision default 100
)
returns table (
    estimator text,
    form text,
    value double precision,
    standard_error double precision,
    lo double precision,
    hi double precision,
    difference double precision,
    difference_lo double precision,
    difference_hi double precision,
    effective_size double precision,
    mean_weight double precision,
    largest_weight double precision,
    unsupported double precision,
    n_requests bigint,
    n_rejected bigint
)
language sql
stable
begin atomic
    with shown as materialized (
        select w.*
        from recsql.policy_weight(
            p_ranking_policy_no, p_from, p_until, p_slot, p_domain, p_segment, p_logging_policy
        ) as w
    ),

    counted as (
        select count(distinct s.request_id) filter (where not s.is_usable) as n_rejected from shown as s
    ),

    usable as (
        select s.*, s.weight / nullif(avg(s.weight) over at_place, 0) as z
        from shown as s
        where s.is_usable
        window at_place as (partition by s.form, s.position)
    ),

    normalised as (
        select u.*, u.z * u.reward - (u.z - 1) * avg(u.z * u.reward) over at_place as self_normalised
        from usable as u
        window at_place as (partition by u.form, u.position)
    ),

    supported as (
        select
            n.form,
            coalesce(sum(n.weight) ^ 2 / nullif(sum(n.weight ^ 2), 0), 0)
            * count(distinct n.request_id) / count(*) as effective_size,
            max(n.weight) as largest_weight,
            avg(n.unsupported) as unsupported
        from normalised as n
        group by n.form
    ),

    -- One row per request and form: what each estimator takes from it.
    contributed as (
        select
            n.request_id,
            n.form,
            sum(n.reward) as logged,
            avg(n.weight) as weight,
            sum(n.weight * n.reward) as ips,
            case when bool_and(n.z is not null) then sum(n.self_normalised) end as snips,
            sum(n.expected) as dm,
            sum(coalesce(n.expected, 0) + n.weight * (n.reward - coalesce(n.predicted, 0))) as dr,
            sum(n.expected + case when n.weight <= p_threshold then n.weight * (n.reward - n.predicted) else 0 end)
                as switch_dr,
            sum(n.expected + n.weight / (1 + n.weight * (n.weight / p_shrinkage)) * (n.reward - n.predicted)) as dr_os
        from normalised as n
        group by n.request_id, n.form
    ),

    measured as (
        select
            m.estimator,
            c.form,
            m.contribution,
            m.contribution - c.logged as difference,
            c.weight,
            avg(m.contribution) over by_estimator as mean_value,
            avg(m.contribution - c.logged) over by_estimator as mean_difference,
            max(abs(m.contribution)) over by_estimator as value_scale,
            max(abs(m.contribution - c.logged)) over by_estimator as difference_scale
        from contributed as c
        cross join lateral (
            values
            ('logged', c.logged),
            ('ips', c.ips),
            ('snips', c.snips),
            ('dm', c.dm),
            ('dr', c.dr),
            ('switch_dr', c.switch_dr),
            ('dr_os', c.dr_os)
        ) as m (estimator, contribution)
        where m.estimator <> 'logged' or c.form = 'position'
        window by_estimator as (partition by m.estimator, c.form)
    ),

    moments as (
        select
            m.estimator,
            m.form,
            count(*) as n_requests,
            bool_and(m.contribution is not null) as is_known,
            avg(m.contribution) as value,
            stddev_samp(m.contribution) as value_deviation,
            max(m.value_scale) as value_scale,
            avg(recsql.cube((m.contribution - m.mean_value) / nullif(m.value_scale, 0))) as value_cube,
            avg(m.difference) as difference,
            stddev_samp(m.difference) as difference_deviation,
            max(m.difference_scale) as difference_scale,
            avg(recsql.cube((m.difference - m.mean_difference) / nullif(m.difference_scale, 0))) as difference_cube,
            avg(m.weight) as mean_weight
        from measured as m
        group by m.estimator, m.form
    ),

    -- Of numbers that are all alike nothing but rounding is left.
    settled as (
        select
            m.estimator,
            m.form,
            m.n_requests,
            m.mean_weight,
            m.value,
            m.difference,
            m.value_deviation / sqrt(m.n_requests) as standard_error,
            case when m.value_deviation <= 1e-13 * m.value_scale then 0 else m.value_deviation end as value_deviation,
            m.value_cube / recsql.cube(nullif(m.value_deviation, 0) / m.value_scale) as value_skewness,
            case
                when m.difference_deviation <= 1e-13 * m.difference_scale then 0 else m.difference_deviation
            end as difference_deviation,
            m.difference_cube / recsql.cube(nullif(m.difference_deviation, 0) / m.difference_scale) as difference_skewness
        from moments as m
        where m.is_known
    )

    select
        s.estimator,
        s.form,
        s.value,
        s.standard_error,
        recsql.hall_bound(s.value, s.value_deviation, s.value_skewness, s.n_requests, q.quantile),
        recsql.hall_bound(s.value, s.value_deviation, s.value_skewness, s.n_requests, -q.quantile),
        s.difference,
        recsql.hall_bound(s.difference, s.difference_deviation, s.difference_skewness, s.n_requests, q.quantile),
        recsql.hall_bound(s.difference, s.difference_deviation, s.difference_skewness, s.n_requests, -q.quantile),
        case when s.estimator = 'logged' then s.n_requests else f.effective_size end,
        case when s.estimator = 'logged' then 1 else s.mean_weight end,
        case when s.estimator = 'logged' then 1 else f.largest_weight end,
        case when s.estimator = 'logged' then 0 else f.unsupported end,
        s.n_requests,
        c.n_rejected
    from settled as s
    inner join supported as f on f.form = s.form
    cross join counted as c
    cross join (values (1.959963984540054::double precision)) as q (quantile);
end;

comment on function recsql.policy_estimate(
    integer, timestamptz, timestamptz, text, text, jsonb, text, double precision, double precision
) is
'What a ranking policy would have been worth where others logged: mean reward of a request, summed over its positions, by each estimator: '
'logged (what was), ips, snips, dm, dr, switch_dr (p_threshold), dr_os (p_shrinkage), in both forms, see policy_weight. lo, hi: 95 % interval '
'over requests (hall_bound); difference: to logged, paired by request; unsupported: share of the policy''s probability on what the log can never '
'show; n_rejected: requests left out. From policy_propensity, which ''recsql ope'' writes; the same as workers.ope in Python.';
