-- recsql.bandit_score: one row per item of the pool that is there; unordered.
create function recsql.bandit_score(
    p_ranking_policy_no integer,
    p_user_no integer,
    p_pool_nos integer [],
    p_pool_scores double precision [],
    p_at timestamptz default now(),
    p_draw integer default null
)
returns table (item_no integer, score double precision)
language plpgsql
set search_path = recsql, public, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_theta vector;
    v_spread vector [];
    v_scale double precision;
    v_draws vector [];
    v_noise double precision [];
    v_config jsonb;
    v_unseen double precision;
    v_alpha double precision;
    v_draw integer := p_draw;
begin
    select b.theta, b.spread, b.scale, b.draws, b.noise, p.config
    into v_theta, v_spread, v_scale, v_draws, v_noise, v_config
    from bandit as b
    inner join ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
    where b.ranking_policy_no = p_ranking_policy_no;
    if not found then
        raise exception 'ranking policy % is no bandit', coalesce(p_ranking_policy_no::text, 'null')
            using errcode = 'RS001', hint = '''recsql bandit list'' shows them, ''recsql bandit add'' makes one.';
    end if;
    v_unseen := 1 / (v_config ->> 'shrinkage')::double precision;
    v_alpha := v_scale * (v_config ->> 'alpha')::double precision;

    if v_config ->> 'bandit' = 'thompson' then
        v_draw := coalesce(v_draw, 1 + floor(random() * cardinality(v_draws))::integer);
        if v_draw not between 1 and cardinality(v_draws) then
            raise exception 'there is no draw %', v_draw
                using errcode = 'RS002', hint = format('Draws are 1 to %s.', cardinality(v_draws));
        end if;
        v_theta := v_draws[v_draw];
        return query
        select
            f.item_no,
            coalesce(e.value, 0) - (v_theta <#> case when e.shift is null then f.features else f.features - e.shift end)
            + v_alpha * sqrt(coalesce(e.variance, v_unseen))
            * v_noise[1 + (f.item_no * 7919::bigint + v_draw * 104729::bigint) % cardinality(v_noise)]
        from bandit_feature(p_ranking_policy_no, p_user_no, p_at, p_pool_nos, standing(p_pool_scores)) as f
        left join bandit_item as e on e.ranking_policy_no = p_ranking_policy_no and e.item_no = f.item_no;
        return;
    end if;

    return query
    select
        f.item_no,
        coalesce(e.value, 0) - (v_theta <#> z.features)
        + case when v_config ->> 'bandit' = 'linucb' then v_alpha * sqrt(
            coalesce(e.variance, v_unseen)
            + (select sum(power(s.direction <#> z.features, 2)) from unnest(v_spread) as s (direction))
        ) else 0 end
    from bandit_feature(p_ranking_policy_no, p_user_no, p_at, p_pool_nos, standing(p_pool_scores)) as f
    left join bandit_item as e on e.ranking_policy_no = p_ranking_policy_no and e.item_no = f.item_no
    cross join lateral (
        select case when e.shift is null then f.features else f.features - e.shift end as features
    ) as z;
end
$$;

comment on function recsql.bandit_score(
    integer, integer, integer [], double precision [], timestamptz, integer
) is
'How a bandit orders a pool, higher first, with the posterior of now: of kind linucb the expected reward and alpha standard deviations of '
'it, of thompson the reward that one draw of the posterior expects, of greedy the expected reward. p_pool_scores: the fused scores, of '
'which only the standing in the pool counts; p_at: when the pool is shown; p_draw: of thompson, which draw, from 1; one at random where it '
'is null. What is not in the catalogue is left out. Errors: RS001 no such bandit, RS002 no such draw.';
