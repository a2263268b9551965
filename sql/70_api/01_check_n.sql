-- recsql.check_n: nothing.
create function recsql.check_n(p_n integer)
returns void
language plpgsql
immutable
as $$
begin
    if p_n is null or p_n not between 1 and 1000 then
        raise exception 'p_n is %, but must be from 1 to 1000', coalesce(p_n::text, 'null')
            using errcode = 'RS002', hint = 'Ask for at most 1000 items.';
    end if;
end
$$;

comment on function recsql.check_n(integer) is 'Sees that so many items can be asked for. Errors: RS002 fewer than 1 or more than 1000.';
