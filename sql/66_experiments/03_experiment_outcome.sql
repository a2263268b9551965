-- recsql.experiment_outcome: one row per user of an experiment.
create function recsql.experiment_outcome(p_experiment_no integer, p_until timestamptz default 'infinity')
returns table (user_no integer, variant_no integer, n_requests bigint, reward double precision, covariate double precision)
language sql
stable
-- Estimates behind joins of views are far too low, and nested loops would be chosen where a hash is far faster.
set enable_nestloop = off
begin atomic
    with entered as materialized (
        select u.user_no, u.variant_no, u.first_at, u.first_at - e.lookback as looks_from
        from recsql.experiment as e
        inner join recsql.experiment_user as u on u.experiment_no = e.experiment_no
        where e.experiment_no = p_experiment_no and u.first_at < p_until
    ),

    asked as materialized (
        select r.user_no, r.request_id
        from recsql.request as r
        inner join entered as n on n.user_no = r.user_no and n.variant_no = r.variant_no
        where r.at < p_until
    ),

    served as (
        select a.user_no, count(*) as n_requests from asked as a group by a.user_no
    ),

    earned as (
        select a.user_no, sum(c.reward) as reward
        from recsql.outcome_claim as c
        inner join asked as a on a.request_id = c.request_id
        where c.reason is null and c.at < p_until
        group by a.user_no
    ),

    earlier as (
        select n.user_no, sum(k.weight)::double precision as weight
        from entered as n
        inner join recsql.event as v on v.user_no = n.user_no and v.at >= n.looks_from and v.at < n.first_at
        inner join recsql.event_kind as k on k.kind_no = v.kind_no
        group by n.user_no
    )

    select
        n.user_no,
        n.variant_no,
        coalesce(s.n_requests, 0),
        coalesce(w.reward, 0),
        coalesce(h.weight, 0)
    from entered as n
    left join served as s on s.user_no = n.user_no
    left join earned as w on w.user_no = n.user_no
    left join earlier as h on h.user_no = n.user_no;
end;

comment on function recsql.experiment_outcome(integer, timestamptz) is
'What came of each user of an experiment from his first request in it on, as was known at p_until. n_requests, reward: of the requests that were '
'served by his variant, by recsql.outcome_claim; covariate: the summed weight of his events in the time before, of which the variant can have '
'changed nothing.';
