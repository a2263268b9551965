-- recsql.locked_space: the space of a name, or an error.
create function recsql.locked_space(p_space text)
returns recsql.embedding_space
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_space embedding_space;
begin
    perform pg_advisory_xact_lock(hashtextextended('recsql.embedding_space', 0));
    select * into v_space from embedding_space as s where s.space = p_space;
    if not found then
        raise exception 'there is no space %', p_space
            using errcode = 'RS001', hint = '''recsql space list'' shows them.';
    end if;
    return v_space;
end
$$;

comment on function recsql.locked_space(text) is
'A space by its name, while no other transaction adds, switches or drops one. Errors: RS001 no such space.';
