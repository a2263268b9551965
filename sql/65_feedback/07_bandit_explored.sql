-- recsql.bandit_explored: one row per place, from the first.
create function recsql.bandit_explored(
    p_ranking_policy_no integer,
    p_user_no integer,
    p_pool_nos integer [],
    p_pool_scores double precision [],
    p_request_id uuid,
    p_n integer,
    p_explore double precision
)
returns table (place integer, item_no integer, propensity double precision, conditional double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
#variable_conflict use_column
declare
    v_n_pool integer := cardinality(p_pool_nos);
    -- Of each draw, the ranks of the pool's places.
    v_ranks integer [];
    v_n_draws integer;
    v_used integer;
    v_order integer [];
    v_shown integer [] := '{}';
    v_likely double precision [];
    v_given double precision [];
    -- Element r: what the fronts before rank r add to its probability.
    v_behind double precision [];
    v_drawn record;
    v_chosen integer;
    v_place integer;
    v_other integer;
    v_rank integer;
    v_above integer;
begin
    select array_agg(r.rank order by r.draw, r.place), max(r.draw)
    into v_ranks, v_n_draws
    from (
        select
            d.draw, w.place,
            row_number() over (partition by d.draw order by s.score desc nulls last, w.place)::integer as rank
        from (
            select b.draw
            from bandit as a
            cross join lateral generate_series(1, cardinality(a.draws)) as b (draw)
            where a.ranking_policy_no = p_ranking_policy_no
        ) as d
        cross join generate_series(1, v_n_pool) as w (place)
        left join bandit_draw_score(p_ranking_policy_no, p_user_no, p_pool_nos, p_pool_scores) as s
            on s.draw = d.draw and s.place = w.place
    ) as r;
    if v_n_draws is null then
        return;
    end if;
    v_used := 1 + floor(exploration_draw(p_request_id, 0) * v_n_draws)::integer;
    v_order := array(
        select w.place from generate_series(1, v_n_pool) as w (place) order by v_ranks[(v_used - 1) * v_n_pool + w.place]
    );
    v_likely := array_fill(1.0::double precision / v_n_draws, array[v_n_draws]);

    for v_drawn in
        select e.place, e.rank, f.each, f.front
        from explored(p_request_id, v_n_pool, p_n, p_explore) as e
        inner join exploration_front(v_n_pool, p_n, p_explore) as f on f.place = e.place
        order by e.place
    loop
        v_place := v_drawn.place;
        v_chosen := v_order[v_drawn.rank];
        place := v_place;
        item_no := p_pool_nos[v_chosen];
        propensity := 0;
        conditional := 0;
        v_behind := array[0.0];
        for v_g in 0 .. v_place - 1 loop
            v_behind := v_behind || (
                v_behind[v_g + 1] + v_drawn.front[v_g + 1] * v_drawn.each
                * (1 - (v_place - 1 - v_g)::double precision / greatest(v_n_pool - v_g - 1, 1))
            );
        end loop;
        v_given := '{}';
        for v_draw in 1 .. v_n_draws loop
            v_rank := v_ranks[(v_draw - 1) * v_n_pool + v_chosen];
            propensity := propensity + v_behind[1 + least(v_rank - 1, v_place)]
                + coalesce(v_drawn.front[v_rank], 0) * (1 - p_explore + v_drawn.each);
            v_above := 0;
            foreach v_other in array v_shown loop
                if v_ranks[(v_draw - 1) * v_n_pool + v_other] < v_rank then
                    v_above := v_above + 1;
                end if;
            end loop;
            v_given := v_given || (v_drawn.each + case when v_above = v_rank - 1 then 1 - p_explore else 0 end);
            conditional := conditional + v_likely[v_draw] * v_given[v_draw];
        end loop;
        propensity := propensity / v_n_draws;
        return next;

        v_shown := v_shown || v_chosen;
        for v_draw in 1 .. v_n_draws loop
            v_likely[v_draw] := case
                when v_likely[v_draw] < 1e-100 then 0 else v_likely[v_draw] * v_given[v_draw] / conditional
            end;
        end loop;
    end loop;
end
$$;

comment on function recsql.bandit_explored(
    integer, integer, integer [], double precision [], uuid, integer, double precision
) is
'What Thompson sampling shows of a pool: the draw of the posterior that the request''s id chooses orders it, and each position goes, with '
'probability p_explore, to one of those left (explored). place: from 1; propensity: the probability of this item at this '
'position over all draws; conditional: the same, given what stands above. Both are exact. No row where the bandit keeps no draws.';
