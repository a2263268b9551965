-- recsql.promoting: one row per rule of kind promote.
create function recsql.promoting(p_rules recsql.rule [], p_pinned_nos integer [], p_n integer)
returns table (nth bigint, rule_no integer, priority integer, item_path jsonpath, item_vars jsonb, n_needed integer)
language sql
stable
begin atomic
    select
        row_number() over (order by r.priority desc, r.rule_no),
        r.rule_no,
        r.priority,
        r.item_path,
        r.item_vars,
        (
            ceil(r.share::numeric * p_n) - (
                select count(*)
                from unnest(p_pinned_nos) as p (item_no)
                -- Item by item: a join would read the whole catalogue for a few of its rows.
                cross join lateral (select m as item from recsql.item as m where m.item_no = p.item_no offset 0) as i
                where recsql.is_match(i.item, r.item_path, r.item_vars)
            )
        )::integer
    from unnest(p_rules) as r
    where r.kind = 'promote';
end;

comment on function recsql.promoting(recsql.rule [], integer [], integer) is
'How many of the first p_n places rules that promote are due beside p_pinned_nos. nth: which of them goes first, from 1; n_needed: places, 0 or '
'less where pins are enough.';
