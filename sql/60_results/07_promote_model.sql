-- recsql.promote_model: number of the version that was promoted before, null where none was.
create function recsql.promote_model(p_version_no integer)
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_model_no integer := (select v.model_no from model_version as v where v.version_no = p_version_no);
    v_before integer;
begin
    if v_model_no is null then
        raise exception 'there is no model version %', p_version_no
            using errcode = 'RS001', hint = '''recsql model list'' shows them.';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('recsql.model_promotion ' || v_model_no, 0));
    select p.version_no into v_before
    from model_promotion as p
    where p.model_no = v_model_no and p.rolled_back_at is null
    order by p.promotion_no desc
    limit 1;
    if v_before is distinct from p_version_no then
        insert into model_promotion (model_no, version_no) values (v_model_no, p_version_no);
    end if;
    return v_before;
end
$$;

comment on function recsql.promote_model(integer) is
'Lets following runs use the configuration of a version in place of its model''s defaults, whether or not its artifact is still there; '
'one at a time for each model. Returns the version whose place it takes, itself where it is promoted already, which changes nothing; '
'null where none was. Errors: RS001 no such version.';
