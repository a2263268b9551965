-- recsql.free_position: null for a position that went to a pin.
create function recsql.free_position(p_controls jsonb, p_position integer)
returns integer
language sql
immutable
begin atomic
    select case
        when p_controls -> 'pinned' is null then p_position
        when not p_controls -> 'pinned' @> to_jsonb(p_position)
            then p_position - (
                select count(*)::integer
                from jsonb_array_elements(p_controls -> 'pinned') as p (position)
                where p.position::integer < p_position
            )
    end;
end;

comment on function recsql.free_position(jsonb, integer) is
'Which of the positions that were drawn from the pool a position of a request is, from 1: those of pins are none of them. p_controls: of the request.';
