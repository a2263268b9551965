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
    if p_keep is null or p_keep < 1 then
        raise exception 'p_keep is %, but at least one run of each kind is kept', coalesce(p_keep::text, 'null')
            using errcode = 'RS002', hint = 'Keep two, so that there is one to roll back to.';
    end if;
    for v_run in
        select r.run_no, r.fingerprint
        from (
            select r.run_no, r.fingerprint, r.state,
                row_number() over (
                    partition by s.protocol, s.part, r.state = 'complete' order by r.run_no desc
                ) as position
            from run as r
            left join split as s on s.split_no = r.split_no
            where r.state <> 'pruned'
        ) as r
        where
            (r.position > p_keep or (r.state <> 'complete' and r.position > 1))
            and not exists (select from release as l where l.run_no = r.run_no)
        order by r.run_no
    loop
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
