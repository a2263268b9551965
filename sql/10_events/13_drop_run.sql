-- recsql.drop_run: removes a run and all that it made.
create function recsql.drop_run(p_run_no integer)
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_table text;
    v_version_no integer;
begin
    if exists (select from release where run_no = p_run_no) then
        raise exception 'run % is being served', p_run_no
            using errcode = 'RS003', hint = 'Publish another run first.';
    end if;
    for v_version_no in select version_no from model_version where run_no = p_run_no loop
        execute format('drop table if exists recsql.item_vector_%s, recsql.user_vector_%s', v_version_no, v_version_no);
    end loop;
    foreach v_table in array
        array[
            'interaction', 'item_popularity', 'item_activity', 'item_similarity', 'candidate', 'score', 'recommendation'
        ]
    loop
        execute format('drop table if exists recsql.%I', v_table || '_' || p_run_no);
    end loop;
    delete from model_version where run_no = p_run_no;
    delete from release_log where run_no = p_run_no;
    delete from run where run_no = p_run_no;
end
$$;

comment on function recsql.drop_run(integer) is
'Removes a run with its partitions and model versions; refused while it is being served.';
