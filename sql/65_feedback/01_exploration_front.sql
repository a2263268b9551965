-- recsql.exploration_front: one row per place, from the first.
create function recsql.exploration_front(p_n_pool integer, p_n integer, p_explore double precision)
returns table (place integer, each double precision, front double precision [])
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_front double precision [] := array[1.0];
    v_next double precision [];
    v_each double precision;
    v_moved double precision;
    v_taken double precision;
begin
    for v_place in 1 .. least(p_n, p_n_pool) loop
        v_each := p_explore / (p_n_pool - v_place + 1);
        place := v_place;
        each := v_each;
        front := v_front;
        return next;

        exit when v_place = p_n_pool;
        v_next := array_fill(0.0::double precision, array[v_place + 1]);
        v_moved := 0;
        for v_g in 0 .. v_place loop
            -- Where the front moved on to a rank, the next one may be shown already, and then it moves on again.
            v_taken := (v_place - v_g)::double precision / (p_n_pool - v_g);
            v_next[v_g + 1] := v_moved * (1 - v_taken);
            v_moved := case when v_moved < 1e-100 then 0 else v_moved * v_taken end;
            exit when v_g = v_place;
            v_next[v_g + 1] := v_next[v_g + 1] + v_front[v_g + 1] * (p_explore - v_each);
            v_moved := v_moved + v_front[v_g + 1] * (1 - p_explore + v_each);
        end loop;
        -- What is next to nothing is nothing: its products would be out of range.
        v_front := array(
            select case when f.chance < 1e-100 then 0 else f.chance end
            from unnest(v_next) with ordinality as f (chance, place)
            order by f.place
        );
    end loop;
end
$$;

comment on function recsql.exploration_front(integer, integer, double precision) is
'How far down a pool is shown when a place comes that is explored as explored does. front: element g + 1 is the probability that the '
'ranks up to g are shown and g + 1 is not, in which case each rank behind is as likely shown as another; each: the probability of each '
'rank that is left, beside what the best one has of not exploring.';
