-- recsql.promoted: effective scores, one per item, in their order.
create function recsql.promoted(
    p_rules recsql.rule [], p_pinned_nos integer [], p_item_nos integer [], p_scores double precision [], p_n integer
)
returns double precision []
language sql
stable
begin atomic
    with due_rule as materialized (
        select r.rule_no, r.priority, r.item_path, r.item_vars, r.n_needed
        from recsql.promoting(p_rules, p_pinned_nos, p_n) as r
    ),

    ordered as (
        select s.item_no, s.place, row_number() over (order by s.score desc, s.place) as nth
        from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
        where s.score is not null
    ),

    matching as (
        select
            o.place, r.priority, r.rule_no, r.n_needed,
            row_number() over (partition by r.rule_no order by o.nth) as nth_of_rule
        from ordered as o
        cross join lateral (select m as item from recsql.item as m where m.item_no = o.item_no offset 0) as i
        inner join due_rule as r on recsql.is_match(i.item, r.item_path, r.item_vars)
    ),

    -- The best of each rule, as many as it is due; where all together are too many, those of the first rules.
    due as (
        select distinct on (m.place) m.place, m.priority, m.rule_no, m.nth_of_rule
        from matching as m
        where m.nth_of_rule <= m.n_needed
        order by m.place, m.priority desc, m.rule_no
    ),

    shown as (
        select o.place, o.nth
        from ordered as o
        left join due as d on d.place = o.place
        order by d.priority desc nulls last, d.rule_no asc nulls last, o.nth
        limit p_n - coalesce(cardinality(p_pinned_nos), 0)
    )

    select recsql.redistributed(p_scores, array(select s.place::integer from shown as s order by s.nth));
end;

comment on function recsql.promoted(recsql.rule [], integer [], integer [], double precision [], integer) is
'Effective scores by which at least share of the first p_n places go to items of each rule of kind promote, as far as there are such: its best take the '
'places of the last others. p_pinned_nos take places too, and count.';
