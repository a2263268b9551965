-- recsql.evidence: one row per item and component that are asked for, and item that speaks for them; unordered.
create function recsql.evidence(
    p_run_no integer,
    p_known_nos integer [],
    p_known_weights double precision [],
    p_new_nos integer [],
    p_new_weights double precision [],
    p_context_no integer,
    p_item_nos integer [],
    p_components text []
)
returns table (item_no integer, component text, evidence_no integer, score double precision)
language sql
stable
begin atomic
    with history (prefix, item_nos, weights) as (
        values
        ('', p_known_nos, p_known_weights),
        ('live ', p_new_nos [:20], p_new_weights [:20]),
        ('context ', array[p_context_no], array[1.0::double precision]),
        ('cold ', p_new_nos [:20] || p_known_nos, p_new_weights [:20] || p_known_weights)
    ),

    asked as (
        select a.item_no, a.component, h.prefix, h.item_nos, h.weights, h.prefix = 'cold ' as is_cold, l.list_no, o.kind,
            l.history_length, l.history_decay, l.history_rate
        from unnest(p_item_nos, p_components) as a (item_no, component)
        inner join recsql.source as o on o.source = recsql.component_key(a.component)
        inner join recsql.source_list as l on l.source_no = o.source_no
        inner join history as h on h.prefix || o.source = a.component
    ),

    -- The lists of the user's items, read once for all that is asked.
    heard as materialized (
        select l.prefix, l.list_no, h.item_no, s.neighbour_nos, s.similarities,
            recsql.step_weight(l.history_decay, l.history_rate, h.place::integer - 1) * h.weight as weight
        from (
            select distinct a.prefix, a.list_no, a.item_nos, a.weights, a.history_length, a.history_decay, a.history_rate
            from asked as a
            where a.kind = 'similarity'
        ) as l
        cross join lateral unnest(l.item_nos, l.weights) with ordinality as h (item_no, weight, place)
        inner join recsql.item_similarity as s
            on s.run_no = p_run_no and s.source_no = l.list_no and s.item_no = h.item_no
        where h.place <= l.history_length and h.weight > 0 and h.place = array_position(l.item_nos, h.item_no)
    )

    select s.item_no, s.component, s.evidence_no, sum(s.weight * s.similarities[s.position])
    from (
        -- That a list has the item is found out at a fraction of what finding its place costs, and that once.
        select a.item_no, a.component, h.item_no as evidence_no, h.weight, h.similarities,
            array_position(h.neighbour_nos, a.item_no) as position
        from asked as a
        inner join heard as h on h.list_no = a.list_no and h.prefix = a.prefix
        where a.item_no = any (h.neighbour_nos)
        offset 0
    ) as s
    where s.similarities[s.position] <> 0
    group by s.item_no, s.component, s.evidence_no
    union all
    -- The cosine with a sum of vectors is, up to what is the same for all of them, the sum of the inner products with each.
    select a.item_no, a.component, h.item_no as evidence_no, -h.weight * (e.embedding <#> t.embedding)
    from asked as a
    cross join lateral (
        select n.item_no, a.weights[n.place] * recsql.step_weight(a.history_decay, a.history_rate, n.place::integer - 1) as weight
        from unnest(a.item_nos) with ordinality as n (item_no, place)
        where n.place <= a.history_length and not a.is_cold
        union all
        select n.item_no, n.weight
        from recsql.taste_item(p_known_nos, p_known_weights, p_new_nos, p_new_weights) as n
        where a.is_cold
    ) as h
    cross join recsql.content_space as c
    inner join recsql.item_embedding as e on e.space_no = c.space_no and e.item_no = h.item_no
    inner join recsql.item_embedding as t on t.space_no = c.space_no and t.item_no = a.item_no
    where a.kind in ('vector', 'cross_domain');
end;

comment on function recsql.evidence(
    integer, integer [], double precision [], integer [], double precision [], integer, integer [], text []
) is
'The user''s own items, known to the run or new since (the newest first), and the item in view, as far as they speak for '
'p_item_nos in p_components; score: how loudly, below 0 for what speaks against. A part of similarity or of content is the sum over '
'them on a scale of its own, so it divides as their scores do. No row for components that no item stands behind.';
