-- recsql.experiment_estimate: one row per variant of an experiment, the control first.
create function recsql.experiment_estimate(p_experiment_no integer, p_until timestamptz default 'infinity')
returns table (
    variant text,
    is_control boolean,
    n_users bigint,
    n_requests bigint,
    mean double precision,
    difference double precision,
    fixed_lo double precision,
    fixed_hi double precision,
    always_lo double precision,
    always_hi double precision,
    cuped_difference double precision,
    cuped_fixed_lo double precision,
    cuped_fixed_hi double precision,
    cuped_always_lo double precision,
    cuped_always_hi double precision,
    variance_left double precision,
    lift double precision,
    lift_lo double precision,
    lift_hi double precision,
    verdict text,
    reason text,
    split_p double precision,
    is_split_wrong boolean
)
language sql
stable
-- Views call it, which readers may ask.
security definer
set search_path = recsql, pg_temp
begin atomic
    with arm as materialized (
        select a.*, v.variant, v.is_control, v.weight
        from recsql.experiment_arm(p_experiment_no, p_until) as a
        inner join recsql.variant as v on v.variant_no = a.variant_no
    ),

    -- alpha is shared by the comparisons (Bonferroni).
    setting as (
        select
            e.alpha / greatest(s.n_arms - 1, 1) as level,
            e.planned_users / s.weight as planned_per_weight,
            s.slope,
            s.covariate_mean,
            case when s.n_arms > 1 and s.n_users > 0 then s.chi_square end as chi_square,
            s.n_arms
        from recsql.experiment as e
        cross join (
            select
                count(*)::integer as n_arms,
                t.n_users,
                t.weight,
                coalesce(
                    sum((a.n_users - 1) * a.covariance) / nullif(sum((a.n_users - 1) * a.covariate_variance), 0), 0
                ) as slope,
                sum(a.n_users * a.covariate_mean) / nullif(t.n_users, 0) as covariate_mean,
                sum((a.n_users - t.n_users * a.weight / t.weight) ^ 2 / nullif(t.n_users * a.weight / t.weight, 0)) as chi_square
            from arm as a
            cross join (
                select sum(b.n_users)::double precision as n_users, sum(b.weight) as weight from arm as b
            ) as t
            group by t.n_users, t.weight
        ) as s
        where e.experiment_no = p_experiment_no
    ),

    split as (
        select s.*, recsql.chi_square_p(s.chi_square, s.n_arms - 1) as p from setting as s
    ),

    adjusted as (
        select
            a.*,
            a.mean - s.slope * (a.covariate_mean - s.covariate_mean) as cuped_mean,
            case
                when a.n_users > 1
                    then greatest(a.variance - 2 * s.slope * a.covariance + s.slope ^ 2 * a.covariate_variance, 0)
            end as cuped_variance
        from arm as a
        cross join setting as s
    ),

    compared as (
        select
            a.*,
            a.mean - c.mean as difference,
            sqrt(a.variance / a.n_users + c.variance / c.n_users) as error,
            a.cuped_mean - c.cuped_mean as cuped_difference,
            a.cuped_variance / a.n_users as cuped_error2,
            c.cuped_mean as control_mean,
            c.cuped_variance / c.n_users as control_error2,
            least(a.n_users, c.n_users) as least_users,
            recsql.two_sided_quantile(s.level) as fixed,
            recsql.always_valid_bound(
                a.n_users + c.n_users, s.planned_per_weight * (a.weight + c.weight), s.level
            ) as bound,
            s.p as split_p,
            s.p < 0.001 as is_split_wrong
        from adjusted as a
        cross join split as s
        -- Of the control itself there is nothing to compare.
        left join adjusted as c on c.is_control and not a.is_control and a.n_users > 1 and c.n_users > 1
    ),

    bounded as (
        select
            c.*,
            sqrt(c.cuped_error2 + c.control_error2) as cuped_error,
            -- Fieller: the factors q for which mean - q control_mean may be 0.
            case
                when c.control_mean > c.bound * sqrt(c.control_error2)
                    then c.control_mean ^ 2 - c.bound ^ 2 * c.control_error2
            end as fieller
        from compared as c
    ),

    judged as (
        select
            b.*,
            b.cuped_difference - b.bound * b.cuped_error as cuped_always_lo,
            b.cuped_difference + b.bound * b.cuped_error as cuped_always_hi,
            b.control_mean * b.cuped_mean / b.fieller as middle,
            sqrt(greatest(
                (b.control_mean * b.cuped_mean) ^ 2 - b.fieller * (b.cuped_mean ^ 2 - b.bound ^ 2 * b.cuped_error2), 0
            )) / b.fieller as reach
        from bounded as b
    ),

    told as (
        select
            j.*,
            case
                when j.is_control then null
                when j.is_split_wrong then 'users are not split as the weights say: find out why before believing anything'
                when j.least_users is null or j.least_users < 100 then 'there are fewer than 100 users in it or in the control'
                when j.cuped_always_lo <= 0 and j.cuped_always_hi >= 0 then 'the always-valid interval holds 0'
            end as reason
        from judged as j
    )

    select
        t.variant,
        t.is_control,
        t.n_users,
        t.n_requests,
        t.mean,
        t.difference,
        t.difference - t.fixed * t.error,
        t.difference + t.fixed * t.error,
        t.difference - t.bound * t.error,
        t.difference + t.bound * t.error,
        t.cuped_difference,
        t.cuped_difference - t.fixed * t.cuped_error,
        t.cuped_difference + t.fixed * t.cuped_error,
        t.cuped_always_lo,
        t.cuped_always_hi,
        (t.cuped_error / nullif(t.error, 0)) ^ 2,
        case when t.control_mean > 0 then t.cuped_difference / t.control_mean end,
        t.middle - t.reach - 1,
        t.middle + t.reach - 1,
        case
            when t.is_control then null
            when t.reason is not null then 'cannot tell'
            when t.cuped_difference > 0 then 'better'
            else 'worse'
        end,
        t.reason,
        t.split_p,
        t.is_split_wrong
    from told as t
    order by t.is_control desc, t.variant_no;
end;

comment on function recsql.experiment_estimate(integer, timestamptz) is
'What an experiment says, as was known at p_until: each variant beside the control. See recsql_api.experiment_result for the columns.';
