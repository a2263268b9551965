-- recsql.check_filter: nothing.
create function recsql.check_filter(p_rule recsql.rule)
returns void
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_rules rule[] := array[p_rule] || array(
        select r
        from rule as r
        where
            r.kind = 'filter' and r.state = 'active' and r.rule_no <> p_rule.rule_no
            and (r.slot is null or p_rule.slot is null or r.slot = p_rule.slot)
            and tstzrange(r.starts_at, r.ends_at) && tstzrange(p_rule.starts_at, p_rule.ends_at)
            and (r.segment is null or r.segment = p_rule.segment)
        order by r.rule_no
    );
    v_filter record := rule_filter(v_rules);
begin
    if not exists (select from item as i where i.available and is_match(i, v_filter.path, v_filter.vars)) then
        raise exception '% of the available items', concat(
            'filter ' || p_rule.rule,
            (select ' together with ' || string_agg(r.rule, ', ') from unnest(v_rules[2:]) as r),
            ' leaves none'
        )
            using errcode = 'RS002', hint = 'Widen its condition: ''recsql rules show'' tells how many items match it by itself.';
    end if;
end
$$;

comment on function recsql.check_filter(recsql.rule) is
'Sees that a filter, with those that are in force whenever it is, leaves something of the available catalogue. Errors: RS002 it leaves nothing.';
