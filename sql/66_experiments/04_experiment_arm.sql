-- recsql.experiment_arm: one row per variant of an experiment, also of those without users.
create function recsql.experiment_arm(p_experiment_no integer, p_until timestamptz default 'infinity')
returns table (
    variant_no integer,
    n_users bigint,
    n_requests bigint,
    mean double precision,
    variance double precision,
    covariate_mean double precision,
    covariate_variance double precision,
    covariance double precision
)
language sql
stable
begin atomic
    with outcome as materialized (
        select o.variant_no, o.n_requests, o.reward, o.covariate
        from recsql.experiment_outcome(p_experiment_no, p_until) as o
    ),

    ratio as (
        select o.variant_no, sum(o.reward) / nullif(sum(o.n_requests), 0) as reward, avg(o.n_requests)::double precision as n_requests
        from outcome as o
        group by o.variant_no
    ),

    -- Of a ratio of two sums the delta method gives the variance: that of what each user moves it by.
    measured as (
        select
            o.variant_no,
            o.n_requests,
            case
                when e.metric = 'user' then o.reward
                else r.reward + (o.reward - r.reward * o.n_requests) / r.n_requests
            end as outcome,
            o.covariate
        from outcome as o
        inner join ratio as r on r.variant_no = o.variant_no
        inner join recsql.experiment as e on e.experiment_no = p_experiment_no
    )

    select
        v.variant_no,
        count(m.outcome),
        coalesce(sum(m.n_requests), 0)::bigint,
        avg(m.outcome),
        var_samp(m.outcome),
        avg(m.covariate),
        var_samp(m.covariate),
        covar_samp(m.outcome, m.covariate)
    from recsql.variant as v
    left join measured as m on m.variant_no = v.variant_no
    where v.experiment_no = p_experiment_no
    group by v.variant_no;
end;

comment on function recsql.experiment_arm(integer, timestamptz) is
'The users of each variant summed up, as was known at p_until. mean, variance: of the reward of a user, or, with metric request, of the reward of a '
'request, users being the unit all the same (delta method).';
