-- recsql.bandit_score: one row per item of the pool that is there; unordered.
create function recsql.bandit_score(
    p_ranking_policy_no integer,
    p_user_no integer,
    p_pool_nos integer [],
    p_pool_scores double precision [],
    p_at timestamptz default now()
)
returns table (item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
-- Planning takes longer than answering.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_theta bandit.theta%type;
    v_spread bandit.spread%type;
    v_alpha double precision;
    v_unseen double precision;
begin
    select
        b.theta, b.spread, 1 / (p.config ->> 'shrinkage')::double precision,
        case when p.config ->> 'bandit' = 'linucb' then b.scale * (p.config ->> 'alpha')::double precision else 0 end
    into v_theta, v_spread, v_unseen, v_alpha
    from bandit as b
    inner join ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
    where b.ranking_policy_no = p_ranking_policy_no;
    if not found then
        raise exception 'ranking policy % is no bandit', coalesce(p_ranking_policy_no::text, 'null')
            using errcode = 'RS001', hint = '''recsql bandit list'' shows them, ''recsql bandit add'' makes one.';
    end if;

    return query
    with pool as materialized (
        select
            f.place, f.item_no, coalesce(e.value, 0) as value, coalesce(e.variance, v_unseen) as variance,
            case when e.shift is null then f.features else f.features - e.shift end as features
        from bandit_feature(p_ranking_policy_no, p_user_no, p_at, p_pool_nos, standing(p_pool_scores)) as f
        left join bandit_item as e on e.ranking_policy_no = p_ranking_policy_no and e.item_no = f.item_no
    ),

    -- All products at once: a subquery for each item takes several times as long.
    spread as (
        select p.place, sum((s.direction <#> p.features) ^ 2) as variance
        from unnest(v_spread) as s (direction)
        cross join pool as p
        where v_alpha > 0
        group by p.place
    )

    select p.item_no, p.value - (v_theta <#> p.features) + v_alpha * sqrt(p.variance + coalesce(s.variance, 0))
    from pool as p
    left join spread as s on s.place = p.place;
end
$$;

comment on function recsql.bandit_score(integer, integer, integer [], double precision [], timestamptz) is
'How a bandit orders a pool, higher first, with the posterior of now: of kind linucb the expected reward and alpha standard deviations of '
'it, else the expected reward (what Thompson sampling draws: bandit_draw_score). p_pool_scores: the fused scores, of which only the '
'standing in the pool counts; p_at: when the pool is shown. What is not in the catalogue is left out. Errors: RS001 no such bandit.';
