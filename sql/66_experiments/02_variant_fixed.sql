-- recsql.variant_fixed: function of the trigger of that name.
create function recsql.variant_fixed()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_row variant := case when tg_op = 'DELETE' then old else new end;
    v_experiment experiment;
    v_unknown text;
    v_rule rule;
begin
    -- for share: it cannot be started meanwhile. Of an experiment that is deleted nothing is found.
    select e.* into v_experiment from experiment as e where e.experiment_no = v_row.experiment_no for share;
    if v_experiment.state <> 'draft' then
        raise exception 'experiment % is %, and its variants cannot be changed', v_experiment.experiment, v_experiment.state
            using errcode = 'RS003', hint = 'Create a new experiment: other weights would move users from one variant to another.';
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    if tg_op = 'UPDATE' and new.experiment_no <> old.experiment_no then
        raise exception 'variant % cannot move to another experiment', old.variant
            using errcode = 'RS003', hint = 'Add a variant to the other one: recsql experiment add-variant.';
    end if;
    if (new.weight > 0 and new.weight < 'infinity') is not true then
        raise exception 'weight % is not a number above 0', coalesce(new.weight::text, 'null')
            using errcode = 'RS002', hint = 'Users are split in proportion to the weights: 1 and 1 for halves, 9 and 1 for a tenth.';
    end if;
    if new.is_control
        and exists (
            select from variant as v
            where v.experiment_no = new.experiment_no and v.is_control and v.variant_no <> new.variant_no
        )
    then
        raise exception 'experiment % has a control already', v_experiment.experiment
            using errcode = 'RS002', hint = 'All other variants are compared with the one control: leave --control out.';
    end if;
    if new.slot is not null and not exists (select from release as r where r.slot = new.slot) then
        raise exception 'slot % serves nothing', new.slot
            using errcode = 'RS001', hint = 'Publish a run there first: select recsql.publish(RUN, FUSION_POLICY, SLOT).';
    end if;
    perform check_controls(
        coalesce((select to_jsonb(c) - 'slot' from control as c where c.slot = v_experiment.slot), '{}') || new.controls
    );
    select r.name into v_unknown
    from unnest(new.add_rules || new.drop_rules) as r (name)
    where not exists (select from rule as o where o.rule = r.name)
    limit 1;
    if found then
        raise exception 'there is no rule %', v_unknown
            using errcode = 'RS001', hint = '''recsql rules list'' shows them.';
    end if;
    select o.* into v_rule from rule as o where o.rule = any (new.add_rules || new.drop_rules) and o.slot <> v_experiment.slot limit 1;
    if found then
        raise exception 'rule % is of slot %, and experiment % runs in slot %', v_rule.rule, v_rule.slot, v_experiment.experiment, v_experiment.slot
            using errcode = 'RS002', hint = 'Name a rule of that slot, or one of all slots: ''recsql rules list'' shows them.';
    end if;
    return new;
end
$$;

comment on function recsql.variant_fixed() is
'Sees that a variant makes sense, and that none changes once its experiment has started.';
