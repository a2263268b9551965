-- recsql.bandit_draw_score: one row per draw and item of the pool that is there; unordered.
create function recsql.bandit_draw_score(
    p_ranking_policy_no integer,
    p_user_no integer,
    p_pool_nos integer [],
    p_pool_scores double precision [],
    p_at timestamptz default now()
)
returns table (draw integer, place integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_draws bandit.draws%type;
    v_noise double precision [];
    v_alpha double precision;
    v_unseen double precision;
begin
    -- Appended to, so that it is not read out of line anew for each score.
    select b.draws, b.noise || '{}'::double precision [], b.scale * (p.config ->> 'alpha')::double precision, 1 / (p.config ->> 'shrinkage')::double precision
    into v_draws, v_noise, v_alpha, v_unseen
    from bandit as b
    inner join ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
    where b.ranking_policy_no = p_ranking_policy_no;

    return query
    with pool as materialized (
        select
            f.place, f.item_no, coalesce(e.value, 0) as value, v_alpha * sqrt(coalesce(e.variance, v_unseen)) as deviation,
            case when e.shift is null then f.features else f.features - e.shift end as features
        from bandit_feature(p_ranking_policy_no, p_user_no, p_at, p_pool_nos, standing(p_pool_scores)) as f
        left join bandit_item as e on e.ranking_policy_no = p_ranking_policy_no and e.item_no = f.item_no
    )

    select
        d.draw::integer, p.place, p.item_no,
        p.value - (d.theta <#> p.features)
        + p.deviation * v_noise[1 + (p.item_no * 7919::bigint + d.draw * 104729) % cardinality(v_noise)]
    from unnest(v_draws) with ordinality as d (theta, draw)
    cross join pool as p;
end
$$;

comment on function recsql.bandit_draw_score(integer, integer, integer [], double precision [], timestamptz) is
'The reward that each draw of a bandit''s posterior expects of a pool''s items; no row where it keeps no draws, which only Thompson '
'sampling does. place: in the pool, from 1; the arguments are those of bandit_score.';
