-- recsql.check_strength: nothing.
create function recsql.check_strength(p_control text, p_strength double precision)
returns void
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
begin
    if (p_strength between 0 and 1) is not true then
        raise exception '% must be from 0 to 1, not %', p_control, coalesce(p_strength::text, 'null')
            using errcode = 'RS002', hint = '0 leaves lists as they are, 1 is the most.';
    end if;
end
$$;

comment on function recsql.check_strength(text, double precision) is
'Sees that the strength of a control is a number from 0 to 1. Errors: RS002 it is not.';
