-- recsql.check_writer: nothing.
create function recsql.check_writer()
returns void
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
begin
    -- Within a function that its owner's rights are used by, session_user is who asks.
    if not pg_has_role(session_user, current_user, 'member')
        and not exists (
            select from pg_roles as r where r.rolname = 'recsql_writer' and pg_has_role(session_user, r.oid, 'member')
        )
    then
        raise exception 'account % may ask, but not write', session_user
            using errcode = 'insufficient_privilege', hint = 'Grant it recsql_writer, or leave p_log and p_explore out.';
    end if;
end
$$;

comment on function recsql.check_writer() is
'Refuses accounts that are neither recsql_writer nor the owner of the schema, where a function that readers may call is asked to write.';
