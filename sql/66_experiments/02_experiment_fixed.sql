-- recsql.experiment_fixed: function of the trigger of that name.
create function recsql.experiment_fixed()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_other text;
    v_variant text;
    v_rule text;
begin
    if tg_op = 'DELETE' then
        if old.state = 'running' then
            raise exception 'experiment % is running', old.experiment
                using errcode = 'RS003', hint = 'Stop it first: recsql experiment stop.';
        end if;
        return old;
    end if;
    if tg_op = 'INSERT' and new.state <> 'draft' or tg_op = 'UPDATE' and old.state = 'draft' and new.state = 'stopped' then
        raise exception 'an experiment begins as a draft and is stopped after it ran'
            using errcode = 'RS003', hint = 'Add variants, then set its state to running: recsql experiment start.';
    end if;
    if tg_op = 'UPDATE' and old.state = 'stopped' then
        raise exception 'experiment % is stopped, and keeps its result', old.experiment
            using errcode = 'RS003', hint = 'Create a new one: its users are assigned anew, and counted from their first request on.';
    end if;
    if tg_op = 'UPDATE' and old.state = 'running' then
        if new.state = 'draft' or (to_jsonb(old) - '{state,ended_at}'::text []) <> (to_jsonb(new) - '{state,ended_at}'::text []) then
            raise exception 'experiment % is running, and cannot be changed', old.experiment
                using errcode = 'RS003', hint = 'Stop it and create a new one: what it found so far was found under what it is now.';
        end if;
        new.ended_at := case when new.state = 'stopped' then now() end;
        return new;
    end if;
    if not exists (select from release as r where r.slot = new.slot) then
        raise exception 'slot % serves nothing', coalesce(new.slot, 'null')
            using errcode = 'RS001', hint = 'Publish a run there first: select recsql.publish(RUN, FUSION_POLICY, SLOT).';
    end if;
    if new.state = 'draft' then
        return new;
    end if;

    select v.variant, r.name into v_variant, v_rule
    from variant as v
    cross join unnest(v.add_rules || v.drop_rules) as r (name)
    where v.experiment_no = new.experiment_no and not exists (select from rule as o where o.rule = r.name)
    limit 1;
    if found then
        raise exception 'variant % names rule %, which is gone', v_variant, v_rule
            using errcode = 'RS003', hint = 'Add the rule again, or create the experiment without it.';
    end if;
    -- Of two that start at the same time the second one sees the first.
    perform pg_advisory_xact_lock(hashtextextended('recsql.experiment ' || new.slot, 0));
    select e.experiment into v_other from experiment as e where e.slot = new.slot and e.state = 'running';
    if found then
        raise exception 'experiment % runs in slot % already', v_other, new.slot
            using errcode = 'RS003', hint = 'Stop it first, or run this one in another slot.';
    end if;
    if (select count(*) from variant as v where v.experiment_no = new.experiment_no) < 2 then
        raise exception 'experiment % has fewer than two variants', new.experiment
            using errcode = 'RS003', hint = 'Add a control and what is compared with it: recsql experiment add-variant.';
    end if;
    if not exists (select from variant as v where v.experiment_no = new.experiment_no and v.is_control) then
        raise exception 'experiment % has no control', new.experiment
            using errcode = 'RS003', hint = 'Add the variant that the others are compared with: recsql experiment add-variant --control.';
    end if;
    new.started_at := now();
    return new;
end
$$;

comment on function recsql.experiment_fixed() is
'Lets an experiment go from draft to running to stopped and no other way, sees that one can run before it does, and that nothing of it '
'changes from then on.';
