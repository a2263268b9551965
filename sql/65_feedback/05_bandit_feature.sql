-- recsql.bandit_feature: one row per place of p_item_nos whose item is there.
create function recsql.bandit_feature(
    p_ranking_policy_no integer,
    p_user_no integer,
    p_at timestamptz,
    p_item_nos integer [],
    p_standings double precision []
)
returns table (place integer, item_no integer, features vector)
language plpgsql
stable
-- A pool, for which looking up each item is better than reading all.
rows 50
set search_path = recsql, public, pg_temp
-- Planning takes longer than answering.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_space_no integer;
    v_center bandit.center%type;
    v_projection bandit.projection%type;
    v_taste bandit.center%type;
    v_direction bandit.center%type;
    v_nothing bandit.center%type;
begin
    select b.space_no, b.center, b.projection into v_space_no, v_center, v_projection
    from bandit as b
    where b.ranking_policy_no = p_ranking_policy_no;
    v_nothing := array_fill(0, array[cardinality(v_projection)])::vector;

    -- The newest of what the user turned to before.
    select sum((e.embedding - v_center) * array_fill((1.0 / h.step)::real, array[vector_dims(v_center)])::vector)
    into v_taste
    from (
        select r.item_no, row_number() over (order by r.at desc, r.event_no desc) as step
        from (
            select v.item_no, v.at, v.event_no
            from event as v
            inner join event_kind as k on k.kind_no = v.kind_no and k.weight > 0
            where v.user_no = p_user_no and v.at < p_at
            order by v.at desc, v.event_no desc
            limit 20
        ) as r
    ) as h
    inner join item_embedding as e on e.space_no = v_space_no and e.item_no = h.item_no;
    if v_taste is not null then
        v_direction := l2_normalize(array(
            select -(v_taste <#> d.direction) from unnest(v_projection) with ordinality as d (direction, nth) order by d.nth
        )::vector) * array_fill(sqrt(cardinality(v_projection))::real, array[cardinality(v_projection)])::vector;
    end if;

    -- Materialized, so that what takes time is computed once for each item.
    return query
    with pool as materialized (
        select w.place, w.item_no, w.standing, i.created_at, e.embedding - v_center as content
        from unnest(p_item_nos, p_standings) with ordinality as w (item_no, standing, place)
        inner join item as i on i.item_no = w.item_no
        left join item_embedding as e on e.space_no = v_space_no and e.item_no = w.item_no
    ),

    projected as materialized (
        select
            p.*,
            case
                when p.content is null then v_nothing
                else array(
                    select -(p.content <#> d.direction)
                    from unnest(v_projection) with ordinality as d (direction, nth)
                    order by d.nth
                )::vector
            end as part
        from pool as p
    )

    select
        p.place::integer,
        p.item_no,
        array[
            1, 1, coalesce(p.standing, 0),
            power(0.5, greatest(extract(epoch from p_at - p.created_at), 0) / 2592000),
            coalesce(nullif(1 - (p.content <=> v_taste), 'NaN'), 0)
        ]::vector
        || p.part
        || coalesce(p.part * v_direction, v_nothing)
    from projected as p;
end
$$;

comment on function recsql.bandit_feature(integer, integer, timestamptz, integer [], double precision []) is
'What a bandit knows of items that may be shown to a user: 1; 1 / log2(1 + position), which is 1 at the first; how the score stands in '
'its pool (standing); 0.5 ^ (days since the item came / 30); the cosine of the item''s content with the user''s taste; the content, '
'projected; the same times the direction of the taste, projected, and the root of their number. The taste is the mean of the contents of '
'the newest 20 events of positive weight before p_at, weighted by 1 / their place; what has no content vector has zeros.';
