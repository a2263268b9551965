-- recsql.capped: effective scores, one per item, in their order; null for what is left out.
create function recsql.capped(
    p_rules recsql.rule [], p_pinned_nos integer [], p_item_nos integer [], p_scores double precision [], p_n integer
)
returns double precision []
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_scores double precision [] := p_scores;
    v_taken text [] := '{}';
    v_is_kept boolean [] := array_fill(false, array[cardinality(p_item_nos)]);
    -- Of each rule that promotes, in their order.
    v_paths jsonpath [];
    v_vars jsonb [];
    v_needed integer [];
    v_item record;
    v_is_over boolean;
begin
    if not exists (select from unnest(p_rules) as r where r.kind = 'cap') then
        return p_scores;
    end if;
    select array_agg(r.item_path order by r.nth), array_agg(r.item_vars order by r.nth), array_agg(r.n_needed order by r.nth)
    into v_paths, v_vars, v_needed
    from promoting(p_rules, p_pinned_nos, p_n) as r;
    for v_item in
        with listed as (
            select p.item_no, null::integer as place, p.place as nth from unnest(p_pinned_nos) with ordinality as p (item_no, place)
            union all
            select s.item_no, s.place, row_number() over (order by s.score desc, s.place)
            from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
        ),

        told as materialized (
            select l.place, l.nth, coalesce(k.keys, '{}') as keys, k.limits, d.promotions
            from listed as l
            cross join lateral (
                select m as item, m.attributes from item as m where m.item_no = l.item_no offset 0
            ) as i
            cross join lateral (
                select array_agg(format('%s %s', r.rule_no, v.told)) as keys, array_agg(r.max_items) as limits
                from unnest(p_rules) as r
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
                where r.kind = 'cap' and is_match(i.item, r.item_path, r.item_vars)
            ) as k
            cross join lateral (
                select array_agg(r.nth) as promotions
                from unnest(v_paths, v_vars, v_needed) with ordinality as r (item_path, item_vars, n_needed, nth)
                where l.place is not null and r.n_needed > 0 and is_match(i.item, r.item_path, r.item_vars)
            ) as d
        )

        -- What is pinned, then what promotions are due, then the best.
        select t.place, t.keys, t.limits, null::bigint as promotion, 1 as turn, t.nth
        from told as t
        where t.place is null
        union all
        select t.place, t.keys, t.limits, p.promotion, 2, t.nth
        from told as t
        cross join lateral unnest(t.promotions) as p (promotion)
        union all
        select t.place, t.keys, t.limits, null, 3, t.nth
        from told as t
        where t.place is not null and t.keys <> '{}'
        order by turn, promotion, nth
    loop
        if v_item.place is null then
            v_taken := v_taken || v_item.keys;
            continue;
        end if;
        continue when v_item.turn = 2 and v_needed[v_item.promotion] <= 0 or v_item.turn = 3 and v_is_kept[v_item.place];
        -- Several promotions may be due the same item.
        if not v_is_kept[v_item.place] then
            v_is_over := false;
            for v_nth in 1 .. cardinality(v_item.keys) loop
                v_is_over := v_is_over or cardinality(array_positions(v_taken, v_item.keys[v_nth])) >= v_item.limits[v_nth];
            end loop;
            if v_is_over then
                if v_item.turn = 3 then
                    v_scores[v_item.place] := null;
                end if;
                continue;
            end if;
            v_taken := v_taken || v_item.keys;
            v_is_kept[v_item.place] := true;
        end if;
        if v_item.turn = 2 then
            v_needed[v_item.promotion] := v_needed[v_item.promotion] - 1;
        end if;
    end loop;
    return v_scores;
end
$$;

comment on function recsql.capped(recsql.rule [], integer [], integer [], double precision [], integer) is
'Leaves out what would be one item too many of a value of a rule of kind cap; of a list of values each counts. p_pinned_nos '
'count, whatever they break; then the best of what rules that promote are due among p_n places, as far as caps allow, then the best. Since no more '
'are left in the whole pool, no list that is drawn from it breaks a cap.';
