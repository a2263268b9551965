-- recsql.request_control: null where nothing was in force.
create function recsql.request_control(
    p_controls jsonb, p_rules recsql.rule [], p_item_nos integer [], p_pinned_nos integer []
)
returns jsonb
language sql
immutable
begin atomic
    select nullif(
        coalesce(p_controls, '{}') || jsonb_strip_nulls(
            jsonb_build_object(
                'rules', (select jsonb_agg(r.rule order by r.priority desc, r.rule_no) from unnest(p_rules) as r),
                'pinned', (
                    select jsonb_agg(i.position order by i.position)
                    from unnest(p_item_nos) with ordinality as i (item_no, position)
                    where i.item_no = any(p_pinned_nos)
                )
            )
        ),
        '{}'
    );
end;

comment on function recsql.request_control(jsonb, recsql.rule [], integer [], integer []) is
'What request.controls keeps of a list: the controls that were on, rules: the names of those in force, pinned: the positions of pinned items.';
