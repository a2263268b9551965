-- recsql.explored: one row per place, from the first.
create function recsql.explored(p_request_id uuid, p_n_pool integer, p_n integer, p_explore double precision)
returns table (place integer, rank integer, propensity double precision, conditional double precision)
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_left integer [] := array(select generate_series(1, p_n_pool));
    v_at record;
    v_draw double precision;
    v_nth integer;
begin
    for v_at in
        select f.place, f.each, f.front from exploration_front(p_n_pool, p_n, p_explore) as f order by f.place
    loop
        v_draw := exploration_draw(p_request_id, v_at.place);
        v_nth := 1;
        if v_draw < p_explore then
            v_nth := least(floor(v_draw / v_at.each)::integer + 1, p_n_pool - v_at.place + 1);
        end if;
        place := v_at.place;
        rank := v_left[v_nth];
        conditional := v_at.each + case when v_nth = 1 then 1 - p_explore else 0 end;
        -- The ranks up to the front g are shown, and place - 1 - g more, each of those behind it as likely as another.
        propensity := coalesce(v_at.front[rank], 0) * (1 - p_explore + v_at.each);
        for v_g in 0 .. least(rank - 2, v_at.place - 1) loop
            propensity := propensity
                + v_at.front[v_g + 1] * v_at.each * (1 - (v_at.place - 1 - v_g)::double precision / (p_n_pool - v_g - 1));
        end loop;
        return next;
        v_left := v_left[: v_nth - 1] || v_left[v_nth + 1 :];
    end loop;
end
$$;

comment on function recsql.explored(uuid, integer, integer, double precision) is
'What a request shows of a pool whose items have ranks from 1: each position goes, with probability 1 - p_explore, to the best '
'rank that is left, else to one of those left, drawn uniformly (exploration_draw). propensity: the probability of this rank at this '
'position; conditional: the same, given what stands above. Both are exact, and each sums to 1 over the ranks.';
