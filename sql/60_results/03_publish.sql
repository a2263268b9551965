-- recsql.publish: nothing.
create function recsql.publish(p_run_no integer, p_policy_no integer, p_slot text default 'default')
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    if not exists (select from run where run_no = p_run_no and state = 'complete') then
        raise exception 'run % is not complete', p_run_no
            using errcode = 'RS003', hint = 'Only a complete run can be published: see recsql status.';
    end if;
    insert into release as r (slot, run_no, policy_no) values (p_slot, p_run_no, p_policy_no)
    on conflict (slot) do update
        set run_no = excluded.run_no, policy_no = excluded.policy_no, released_at = now();
    insert into release_log (slot, run_no, policy_no, action) values (p_slot, p_run_no, p_policy_no, 'publish');
    update model_version set status = 'released' where run_no = p_run_no;
end
$$;

comment on function recsql.publish(integer, integer, text) is
'Lets a slot serve a complete run from the next statement on. Readers see the old run or the new one, never half of each.';
