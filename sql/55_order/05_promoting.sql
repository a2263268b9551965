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
                inner join recsql.item as i on i.item_no = p.item_no and recsql.is_match(i, r.item_path, r.item_vars)
            )
        )::integer
    from unnest(p_rules) as r
    where r.kind = 'promote';
end;

comment on function recsql.promoting(recsql.rule [], integer [], integer) is
'How many of the first p_n places rules that promote are due beside p_pinned_nos. nth: which of them goes first, from 1; n_needed: places, 0 or '
'less where pins are enough.';
