-- recsql.taste_item: one row per item that a user's taste is read from.
create function recsql.taste_item(
    p_known_nos integer [], p_known_weights double precision [], p_new_nos integer [], p_new_weights double precision []
)
returns table (item_no integer, weight double precision)
language sql
stable
begin atomic
    select n.item_no, n.weight * recsql.step_weight(o.history_decay, o.history_rate, n.step)
    from recsql.source as o
    cross join lateral (
        select l.item_no, l.weight, row_number() over (order by l.part, l.place)::integer - 1 as step
        from (
            select 1 as part, a.item_no, a.weight, a.place
            from unnest(p_new_nos, p_new_weights) with ordinality as a (item_no, weight, place)
            where a.weight > 0
            union all
            select 2 as part, a.item_no, a.weight, a.place
            from unnest(p_known_nos, p_known_weights) with ordinality as a (item_no, weight, place)
            where a.item_no <> all (p_new_nos)
        ) as l
    ) as n
    where o.source = 'content' and n.step < o.history_length;
end;

comment on function recsql.taste_item(integer [], double precision [], integer [], double precision []) is
'What a user has chosen of late, by weight and recency as source content reads them. p_known_nos, p_new_nos: what the run knows of the '
'user and what came since, the newest first.';
