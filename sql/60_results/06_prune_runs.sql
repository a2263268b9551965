-- recsql.prune_runs: one row per run that was pruned.
create function recsql.prune_runs(p_keep integer default 2)
returns table (run_no integer)
language plpgsql
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_run record;
begin
    for v_run in select u.run_no, u.fingerprint from unkept_run(p_keep) as u loop
        -- Whoever is making the run holds this lock.
        if pg_try_advisory_xact_lock(hashtextextended('recsql.run ' || v_run.fingerprint, 0)) then
            perform prune_run(v_run.run_no);
            run_no := v_run.run_no;
            return next;
        end if;
    end loop;
    delete from user_change as c
    where c.noted_in < (select min(pg_snapshot_xmin(r.snapshot)::text::bigint)::text::xid8 from run as r where r.state <> 'pruned');
end
$$;

comment on function recsql.prune_runs(integer) is
'Prunes all but the newest p_keep complete runs of each protocol and part, and all but the newest unfinished one; never one that '
'is served or being made. Forgets which users did something that all runs know. Gives the numbers of the pruned runs.';
