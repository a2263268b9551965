-- recsql.follow_release: number of pairs whose count changed; null where nothing is served.
create function recsql.follow_release()
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_run run;
    v_old integer;
begin
    select r.* into v_run
    from release as l
    inner join run as r on r.run_no = l.run_no
    where l.slot = 'default';
    if not found then
        return null;
    end if;
    if not exists (select from pair_state where run_no = v_run.run_no) then
        for v_old in select run_no from pair_state loop
            execute format('truncate recsql.pair_count_%1$s, recsql.pair_list_%1$s, recsql.pair_sequence_%1$s', v_old);
            delete from pair_state where run_no = v_old;
        end loop;
        perform track_similarity(v_run.run_no, p_reverse => coalesce((v_run.config ->> 'reverse')::real, 0.4));
    end if;
    return update_similarity(v_run.run_no);
end
$$;

comment on function recsql.follow_release() is
'Brings the sequential similarities of the run that is served up to the newest event, so that new items have neighbours and are '
'neighbours before the next run. The first time after a run was published its pairs are counted, which takes as long as a refresh.';
