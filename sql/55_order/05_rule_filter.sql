-- recsql.rule_filter: one row, nulls where no rule filters.
create function recsql.rule_filter(p_rules recsql.rule [], out path jsonpath, out vars jsonb)
language sql
immutable
begin atomic
    select
        string_agg('(' || r.item_path || ')', ' && ')::jsonpath,
        (
            select jsonb_object_agg(v.key, v.value)
            from unnest(p_rules) as o
            cross join lateral jsonb_each(o.item_vars) as v
            where o.kind = 'filter'
        )
    from unnest(p_rules) as r
    where r.kind = 'filter';
end;

comment on function recsql.rule_filter(recsql.rule []) is
'What the filters among rules ask of an item, all of them, as one compiled condition.';
