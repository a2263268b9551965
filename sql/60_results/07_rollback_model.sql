-- recsql.rollback_model: number of the version that is promoted now, null where the defaults are in use again.
create function recsql.rollback_model(p_model text)
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_model_no integer := (select m.model_no from model as m where m.model = p_model);
    v_promotion_no integer;
begin
    if v_model_no is null then
        raise exception 'there is no version of a model ''%''', p_model
            using errcode = 'RS001', hint = '''recsql model list'' shows all versions.';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('recsql.model_promotion ' || v_model_no, 0));
    select p.promotion_no into v_promotion_no
    from model_promotion as p
    where p.model_no = v_model_no and p.rolled_back_at is null
    order by p.promotion_no desc
    limit 1;
    if not found then
        raise exception 'no version of % is promoted', p_model
            using errcode = 'RS003', hint = 'Its defaults are in use: promote a version with ''recsql model promote''.';
    end if;
    update model_promotion
    set rolled_back_at = clock_timestamp(), rolled_back_by = session_user
    where promotion_no = v_promotion_no;
    return (select p.version_no from promoted_model as p where p.model = p_model);
end
$$;

comment on function recsql.rollback_model(text) is
'Takes the newest promotion of a model back; repeated, it goes further back, to the defaults at last. Returns the version that is promoted now, '
'null where none is. Errors: RS001 no such model, RS003 none of its versions is promoted.';
