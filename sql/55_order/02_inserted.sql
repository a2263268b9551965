-- recsql.inserted: a longer list.
create function recsql.inserted(p_list anyarray, p_elements anyarray, p_positions integer [])
returns anyarray
language plpgsql
immutable
as $$
begin
    for v_nth in 1 .. coalesce(cardinality(p_positions), 0) loop
        p_list := p_list[: p_positions[v_nth] - 1] || p_elements[v_nth] || p_list[p_positions[v_nth] :];
    end loop;
    return p_list;
end
$$;

comment on function recsql.inserted(anyarray, anyarray, integer []) is
'A list with elements put in at their positions, ascending; behind its end where it is too short.';
