-- recsql.unkept_run: one row per run that pruning may forget.
create function recsql.unkept_run(p_keep integer)
returns table (run_no integer, fingerprint text)
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
begin
    if p_keep is null or p_keep < 1 then
        raise exception 'p_keep is %, but at least one run of each kind is kept', coalesce(p_keep::text, 'null')
            using errcode = 'RS002', hint = 'Keep two, so that there is one to roll back to.';
    end if;
    return query
    select r.run_no, r.fingerprint
    from (
        select r.run_no, r.fingerprint, r.state,
            row_number() over (
                partition by
                    s.protocol,
                    s.part,
                    r.state = 'complete',
                    -- Every slot has its own to roll back to.
                    (select min(l.slot) from release_log as l where l.run_no = r.run_no and l.action = 'publish')
                order by r.run_no desc
            ) as position
        from run as r
        left join split as s on s.split_no = r.split_no
        where r.state <> 'pruned'
    ) as r
    where
        (r.position > p_keep or (r.state <> 'complete' and r.position > 1))
        and not exists (select from release as l where l.run_no = r.run_no)
    order by r.run_no;
end
$$;

comment on function recsql.unkept_run(integer) is
'The runs that are neither served, nor among the newest p_keep complete ones of their protocol and part, nor its newest unfinished '
'one. Errors: RS002 p_keep is less than 1.';
