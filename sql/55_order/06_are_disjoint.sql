-- recsql.are_disjoint: never null.
create function recsql.are_disjoint(p_segment jsonb, p_other jsonb)
returns boolean
language sql
immutable
begin atomic
    select coalesce(
        p_segment = jsonb_build_object('not', p_other)
        or p_other = jsonb_build_object('not', p_segment)
        or (
            p_segment -> 'attribute' = p_other -> 'attribute'
            and p_segment ->> 'op' in ('=', 'in')
            and p_other ->> 'op' in ('=', 'in')
            and not jsonb_path_exists(p_segment, '$.value[*] ? (@ == $other[*])', jsonb_build_object('other', p_other -> 'value'))
        ),
        false
    );
end;

comment on function recsql.are_disjoint(jsonb, jsonb) is
'Whether two segments can be seen to have no user in common: one is the opposite of the other, or they ask for different values of one '
'attribute by = or in.';
