-- recsql.check_rule: trigger.
create function recsql.check_rule()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_settings text[] := array(
        select s.setting
        from (
            values
            ('condition', new.condition is not null),
            ('factor', new.factor is not null),
            ('half_life', new.half_life is not null),
            ('attribute', new.attribute is not null),
            ('max_items', new.max_items is not null),
            ('share', new.share is not null),
            ('item', new.item_no is not null),
            ('position', new.position is not null)
        ) as s (setting, is_given)
        where s.is_given
    );
    v_needed text[] := case new.kind
        when 'filter' then '{condition}'
        when 'boost' then '{factor}'
        when 'bury' then '{factor}'
        when 'freshness' then '{half_life}'
        when 'cap' then '{attribute,max_items}'
        when 'promote' then '{condition,share}'
        when 'pin' then '{item,position}'
    end;
    v_wrong text;
    v_compiled record;
begin
    -- What can no longer be obeyed can be taken out of force.
    if tg_op = 'UPDATE' and new.state = 'draft' and to_jsonb(new) - 'state' = to_jsonb(old) - 'state' then
        return new;
    end if;
    if v_needed is null then
        raise exception 'there is no kind of rule %', coalesce(new.kind, 'null')
            using errcode = 'RS002', hint = 'Kinds are filter, boost, bury, freshness, cap, promote and pin.';
    end if;
    if not (v_settings @> v_needed and v_settings <@ (v_needed || case new.kind when 'pin' then '{}' else '{condition}'::text[] end)) then
        raise exception 'a rule of kind % takes %, not %', new.kind, array_to_string(v_needed, ' and '),
            coalesce(nullif(array_to_string(v_settings, ', '), ''), 'nothing')
            using errcode = 'RS002', hint = 'All but pins take a condition on items as well, and all take a segment, a slot, a priority and a period.';
    end if;
    v_wrong := case
        when (new.rule ~ '^[a-z0-9][a-z0-9_-]{0,99}$') is not true then 'its name must be of a-z, 0-9, _ and -, and at most 100 long'
        when new.kind = 'boost' and not (new.factor > 1 and new.factor <= 1e6) then 'factor must be above 1, up to a million: below 1 it buries'
        when new.kind = 'bury' and not (new.factor >= 1e-6 and new.factor < 1) then 'factor must be below 1, from a millionth: above 1 it boosts'
        when new.half_life <= interval '0' then 'half_life must be longer than nothing'
        when new.max_items < 1 then 'max_items must be 1 or more'
        when not (new.share > 0 and new.share <= 1) then 'share must be above 0, up to 1'
        when new.position not between 1 and 1000 then 'position must be from 1 to 1000'
        when new.starts_at >= new.ends_at then 'it must end after it starts'
    end;
    if v_wrong is not null then
        raise exception 'rule % cannot be: %', coalesce(new.rule, 'null'), v_wrong
            using errcode = 'RS002', hint = 'Nothing was written.';
    end if;
    if own_column('item', new.attribute) is null and attribute_type('item', new.attribute) is null and new.attribute is not null then
        raise exception 'no item has an attribute %', left(new.attribute, 100)
            using errcode = 'RS001', hint = 'The names of attributes are case-sensitive: look at recsql.item.attributes.';
    end if;
    new.item_path := null;
    new.item_vars := null;
    new.segment_path := null;
    new.segment_vars := null;
    if new.condition is not null then
        v_compiled := compiled_condition(new.condition, 'item', 'r' || new.rule_no);
        new.item_path := v_compiled.path;
        new.item_vars := v_compiled.vars;
    end if;
    if new.segment is not null then
        v_compiled := compiled_condition(new.segment, 'user', 'r' || new.rule_no);
        new.segment_path := v_compiled.path;
        new.segment_vars := v_compiled.vars;
    end if;
    if new.kind = 'pin' and new.state = 'active' then
        perform check_pin(new);
    end if;
    if new.kind = 'filter' and new.state = 'active' then
        perform check_filter(new);
    end if;
    return new;
end
$$;

comment on function recsql.check_rule() is
'Trigger: compiles a rule''s condition and segment, and refuses what cannot be obeyed. Errors: RS001 unknown attribute, RS002 settings that do '
'not fit the kind or are out of range, a malformed condition, an active pin that contradicts another, or an active filter that leaves nothing.';
