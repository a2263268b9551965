-- recsql.prune_run: nothing.
create function recsql.prune_run(p_run_no integer)
returns void
language plpgsql
set search_path = recsql, pg_temp
-- Waiting for a reader would hold up all that come after: better to fail and be tried again.
set lock_timeout = '2s'
as $$
declare
    v_table text;
    v_version_no integer;
begin
    if exists (select from release where run_no = p_run_no) then
        raise exception 'run % is being served', p_run_no
            using errcode = 'RS003', hint = 'Publish another run first.';
    end if;
    for v_version_no in
        select v.version_no
        from model_version as v
        where
            v.run_no = p_run_no
            and not exists (select from ranking_policy as q where q.version_no = v.version_no)
    loop
        execute format(
            'drop table if exists recsql.item_vector_%1$s, recsql.user_vector_%1$s, recsql.state_vector_%1$s, recsql.attribution_%1$s',
            v_version_no
        );
    end loop;
    foreach v_table in array
        array[
            'interaction', 'user_sequence', 'item_popularity', 'item_similarity', 'pair_count', 'pair_list', 'pair_sequence',
            'user_similarity', 'segment_popularity', 'candidate', 'score', 'recommendation'
        ]
    loop
        execute format('drop table if exists recsql.%I', v_table || '_' || p_run_no);
    end loop;
    delete from pair_state where run_no = p_run_no;
    update model_version as v set artifact = null, status = 'retired'
    where
        v.run_no = p_run_no
        and not exists (select from promoted_model as p where p.version_no = v.version_no)
        and not exists (select from embedding_space as s where s.version_no = v.version_no)
        and not exists (select from ranking_policy as q where q.version_no = v.version_no);
    update run set state = 'pruned', finished_at = coalesce(finished_at, clock_timestamp()) where run_no = p_run_no;
end
$$;

comment on function recsql.prune_run(integer) is
'Removes all rows of a run but its figures, and its artifacts but those of promoted versions, of unified spaces and of ranking '
'policies, whose vectors stay too; refused while it is being served. Fails when a '
'reader holds its tables for more than two seconds.';
