-- recsql.explored: one row per place, from the first.
create function recsql.explored(p_request_id uuid, p_n_pool integer, p_n integer, p_explore double precision)
returns table (place integer, rank integer, propensity double precision, conditional double precision)
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
declare
    v_left integer[] := array(select generate_series(1, p_n_pool));
    -- Element g + 1: the probability that the ranks up to g are shown, and g + 1 is not.
    v_front double precision[] := array[1.0];
    v_next double precision[];
    v_each double precision;
    v_draw double precision;
    v_nth integer;
    v_moved double precision;
    v_taken double precision;
begin
    for v_position in 1 .. least(p_n, p_n_pool) loop
        v_each := p_explore / (p_n_pool - v_position + 1);
        v_draw := exploration_draw(p_request_id, v_position);
        v_nth := 1;
        if v_draw < p_explore then
            v_nth := least(floor(v_draw / v_each)::integer + 1, p_n_pool - v_position + 1);
        end if;
        place := v_position;
        rank := v_left[v_nth];
        conditional := v_each + case when v_nth = 1 then 1 - p_explore else 0 end;
        -- The ranks up to the front g are shown, and v_position - 1 - g more, each of those behind it as likely as another.
        propensity := coalesce(v_front[rank], 0) * (1 - p_explore + v_each);
        for v_g in 0 .. least(rank - 2, v_position - 1) loop
            propensity := propensity
                + v_front[v_g + 1] * v_each * (1 - (v_position - 1 - v_g)::double precision / (p_n_pool - v_g - 1));
        end loop;
        return next;
        v_left := v_left[: v_nth - 1] || v_left[v_nth + 1 :];

        exit when v_position = least(p_n, p_n_pool);
        v_next := array_fill(0.0::double precision, array[v_position + 1]);
        v_moved := 0;
        for v_g in 0 .. v_position loop
            -- Where the front moved on to a rank, the next one may be shown already, and then it moves on again.
            v_taken := (v_position - v_g)::double precision / (p_n_pool - v_g);
            v_next[v_g + 1] := v_moved * (1 - v_taken);
            v_moved := v_moved * v_taken;
            exit when v_g = v_position;
            v_next[v_g + 1] := v_next[v_g + 1] + v_front[v_g + 1] * (p_explore - v_each);
            v_moved := v_moved + v_front[v_g + 1] * (1 - p_explore + v_each);
        end loop;
        v_front := v_next;
    end loop;
end
$$;

comment on function recsql.explored(uuid, integer, integer, double precision) is
'What a request shows of a pool whose items have ranks from 1: each position goes, with probability 1 - p_explore, to the best '
'rank that is left, else to one of those left, drawn uniformly (exploration_draw). propensity: the probability of this rank at this '
'position; conditional: the same, given what stands above. Both are exact, and each sums to 1 over the ranks.';
