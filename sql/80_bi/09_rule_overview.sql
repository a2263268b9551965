-- recsql_api.rule_overview: one row per rule.
create view recsql_api.rule_overview as
select
    r.rule,
    r.kind,
    r.state,
    r.state = 'active' and coalesce(r.starts_at <= now(), true) and coalesce(r.ends_at > now(), true) as is_in_force,
    r.slot,
    r.priority,
    r.starts_at,
    r.ends_at,
    r.condition,
    r.segment,
    jsonb_strip_nulls(
        jsonb_build_object(
            'factor', r.factor, 'half_life', r.half_life, 'attribute', r.attribute, 'max_items', r.max_items, 'share', r.share,
            'item_id', p.item_id, 'position', r.position
        )
    ) as settings,
    (
        select count(*)
        from recsql.item as i
        where i.available and (p.item_no is null or i.item_no = p.item_no) and recsql.is_match(i, r.item_path, r.item_vars)
    ) as n_items
from recsql.rule as r
left join recsql.item as p on p.item_no = r.item_no;

comment on view recsql_api.rule_overview is
'One row per rule of the owner. is_in_force: active, and within its period; slot: null for all; settings: those of its kind; n_items: available '
'items that it is about, of a pin 1 or 0.';
