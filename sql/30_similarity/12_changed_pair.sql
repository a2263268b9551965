-- recsql.changed_pair: one row per pair within a sequence that another sequence does not have.
create function recsql.changed_pair(
    p_item_nos integer [], p_n_head integer, p_n_tail integer, p_ahead integer [], p_back integer []
)
returns table (item_no integer, next_no integer, ahead integer, back integer)
language sql
immutable
begin atomic
    select
        unnest(p_item_nos[p.first : p.place + cardinality(p_ahead)]),
        p_item_nos[p.place],
        unnest(p_ahead[p.first - p.place : least(cardinality(p_ahead), cardinality(p_item_nos) - p.place)]),
        unnest(p_back[p.first - p.place : least(cardinality(p_ahead), cardinality(p_item_nos) - p.place)])
    from (
        select h.place, h.place + 1 as first
        from generate_series(1, p_n_head) as h (place)
        union all
        select t.place, greatest(t.place, cardinality(p_item_nos) - p_n_tail) + 1
        from generate_series(
            greatest(p_n_head, cardinality(p_item_nos) - p_n_tail - cardinality(p_ahead)) + 1, cardinality(p_item_nos)
        ) as t (place)
        where p_n_tail > 0
    ) as p;
end;

comment on function recsql.changed_pair(integer [], integer, integer, integer [], integer []) is
'The pairs of a sequence (the newest item first) of which at least one item is among the first p_n_head or the last p_n_tail: what '
'stays between head and tail keeps its pairs. p_ahead and p_back: weights of a pair by its gap, in the direction in which it '
'happened and in the other; they come back with each pair.';
