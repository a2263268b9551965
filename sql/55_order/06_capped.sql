-- recsql.capped: effective scores, one per item, in their order; null for what is left out.
create function recsql.capped(
    p_rules recsql.rule [], p_pinned_nos integer [], p_item_nos integer [], p_scores double precision []
)
returns double precision []
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_scores double precision [] := p_scores;
    v_taken text [] := '{}';
    v_item record;
    v_is_over boolean;
begin
    for v_item in
        select l.place, array_agg(format('%s %s', r.rule_no, v.told)) as keys, array_agg(r.max_items) as limits
        from (
            select p.item_no, null::integer as place, p.place as nth from unnest(p_pinned_nos) with ordinality as p (item_no, place)
            union all
            select s.item_no, s.place, 1000 + row_number() over (order by s.score desc, s.place)
            from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
        ) as l
        cross join lateral (
            select m as item, m.attributes from item as m where m.item_no = l.item_no offset 0
        ) as i
        inner join unnest(p_rules) as r on r.kind = 'cap' and is_match(i.item, r.item_path, r.item_vars)
        cross join lateral (
            select distinct p.value #>> '{}' as told
            from jsonb_path_query(
                case
                    when own_column('item', r.attribute) is null then i.attributes -> r.attribute
                    else item_document(i.item) -> r.attribute
                end,
                '$[*] ? (@ != null)'
            ) as p (value)
        ) as v
        group by l.nth, l.place
        order by l.nth
    loop
        v_is_over := false;
        for v_nth in 1 .. cardinality(v_item.keys) loop
            v_is_over := v_is_over or cardinality(array_positions(v_taken, v_item.keys[v_nth])) >= v_item.limits[v_nth];
        end loop;
        if v_item.place is null or not v_is_over then
            v_taken := v_taken || v_item.keys;
        else
            v_scores[v_item.place] := null;
        end if;
    end loop;
    return v_scores;
end
$$;

comment on function recsql.capped(recsql.rule [], integer [], integer [], double precision []) is
'Leaves out, from the best down, what would be one item too many of a value of a rule of kind cap; of a list of values each counts. p_pinned_nos '
'count, whatever they break. Since no more are left in the whole pool, no list that is drawn from it breaks a cap.';
