-- recsql.drop_embedding_space: number of vectors that went.
create function recsql.drop_embedding_space(p_space text)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_space embedding_space := locked_space(p_space);
    v_user text;
    v_rows bigint;
begin
    if v_space.status = 'active' and exists (
        select from embedding_space as s where s.modality = v_space.modality and s.space_no <> v_space.space_no
    ) then
        raise exception 'space % is the active one of its modality', p_space
            using errcode = 'RS004', hint = 'Switch to another one first (recsql space switch).';
    end if;
    select s.space into v_user from embedding_space as s where v_space.space_no = any(s.source_nos) limit 1;
    if v_user is not null then
        raise exception 'space % is one of those that % unites', p_space, v_user
            using errcode = 'RS004', hint = format('Drop %s first (recsql space drop).', v_user);
    end if;
    execute format('select count(*) from recsql.%I', 'item_embedding_' || v_space.space_no) into v_rows;
    execute format('drop table recsql.%I', 'item_embedding_' || v_space.space_no);
    delete from embedding_space as s where s.space_no = v_space.space_no;
    return v_rows;
end
$$;

comment on function recsql.drop_embedding_space(text) is
'Removes a space with its vectors, tasks and failures. Errors: RS001 no such space, RS004 it is the active one while its modality has '
'others, or another space unites it.';
