-- recsql.check_pin: nothing.
create function recsql.check_pin(p_rule recsql.rule)
returns void
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_other rule;
begin
    select * into v_other
    from rule as r
    where
        r.kind = 'pin' and r.state = 'active' and r.rule_no <> p_rule.rule_no and r.priority = p_rule.priority
        and (r.position = p_rule.position) <> (r.item_no = p_rule.item_no)
        and (r.slot is null or p_rule.slot is null or r.slot = p_rule.slot)
        and tstzrange(r.starts_at, r.ends_at) && tstzrange(p_rule.starts_at, p_rule.ends_at)
        and not are_disjoint(r.segment, p_rule.segment)
    order by r.rule_no
    limit 1;
    if found then
        raise exception 'pin % contradicts pin %: both % at the same time, for the same users, at priority %',
            p_rule.rule, v_other.rule,
            case when v_other.position = p_rule.position then 'take position ' || p_rule.position else 'place the same item' end,
            p_rule.priority
            using errcode = 'RS002', hint = 'Give one of them another position, period, segment or priority, or deactivate one.';
    end if;
end
$$;

comment on function recsql.check_pin(recsql.rule) is
'Sees that no active pin puts another item at a pin''s position, or its item at another one, where neither goes before the other: in one slot, '
'at one time, at one priority and for users who may be the same. Errors: RS002 one does, saying which.';
