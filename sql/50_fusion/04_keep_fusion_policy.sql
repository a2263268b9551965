-- recsql.keep_fusion_policy: function of the trigger of that name.
create function recsql.keep_fusion_policy()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_user text;
begin
    select u.name into v_user
    from (
        select 'policy ' || f.policy as name
        from fusion_policy as f
        cross join lateral fusion_reference(f.kind, f.config) as r
        where r.name = old.policy
        union all
        select 'slot ' || c.slot from fusion_choice as c where c.policy_no = old.policy_no
        union all
        select 'slot ' || l.slot from release as l where l.policy_no = old.policy_no
        union all
        select 'run ' || l.run_no || ', to which rollback may go back'
        from release_log as l
        inner join run as r on r.run_no = l.run_no and r.state = 'complete'
        where l.policy_no = old.policy_no
        union all
        select 'runs of which nothing was chosen' where old.policy = 'rrf'
    ) as u
    limit 1;
    if found then
        raise exception 'policy % is used by %', old.policy, v_user
            using errcode = 'RS003', hint = 'recsql fusion list shows where policies are used.';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;

comment on function recsql.keep_fusion_policy() is 'Refuses that a fusion policy which is in use goes, or gets another name.';
