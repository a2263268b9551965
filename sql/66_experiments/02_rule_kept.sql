-- recsql.rule_kept: function of the trigger of that name.
create function recsql.rule_kept()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_variant text;
    v_experiment text;
begin
    select v.variant, e.experiment into v_variant, v_experiment
    from variant as v
    inner join experiment as e on e.experiment_no = v.experiment_no
    where e.state = 'running' and old.rule = any (v.add_rules || v.drop_rules)
    limit 1;
    if found and (tg_op = 'DELETE' or new.rule <> old.rule or new.slot is distinct from old.slot) then
        raise exception 'rule % is part of variant % of experiment %, which is running', old.rule, v_variant, v_experiment
            using errcode = 'RS003', hint = 'Stop the experiment first: recsql experiment stop.';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;

comment on function recsql.rule_kept() is 'Keeps the rules that variants of running experiments name.';
