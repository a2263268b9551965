-- recsql.rollback: number of the run that is served now.
create function recsql.rollback(p_slot text default 'default')
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_release release;
    v_earlier release_log;
begin
    select * into v_release from release where slot = p_slot for update;
    if not found then
        raise exception 'slot % serves nothing', p_slot
            using errcode = 'RS001', hint = 'Publish a run first: recsql publish.';
    end if;
    select l.* into v_earlier
    from release_log as l
    inner join run as r on r.run_no = l.run_no and r.state = 'complete'
    where
        l.slot = p_slot and l.action = 'publish' and l.run_no <> v_release.run_no
        and l.release_no < (
            select max(c.release_no) from release_log as c
            where c.slot = p_slot and c.run_no = v_release.run_no and c.action = 'publish'
        )
    order by l.release_no desc
    limit 1;
    if not found then
        raise exception 'there is no earlier release in slot %', p_slot
            using errcode = 'RS003', hint = 'Earlier runs may have been pruned: see recsql status.';
    end if;
    update release
    set run_no = v_earlier.run_no, policy_no = v_earlier.policy_no, released_at = now()
    where slot = p_slot;
    insert into release_log (slot, run_no, policy_no, action)
    values (p_slot, v_earlier.run_no, v_earlier.policy_no, 'rollback');
    return v_earlier.run_no;
end
$$;

comment on function recsql.rollback(text) is
'Lets a slot serve the run that it served before; repeated, it goes further back. Returns that run''s number.';
