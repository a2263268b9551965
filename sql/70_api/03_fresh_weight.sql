-- recsql.fresh_weight: one row per list of a similarity source and item that the user has had since the run or has in view.
create function recsql.fresh_weight(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_new_nos integer [],
    p_new_weights double precision [],
    p_context_no integer
)
returns table (component text, source_no smallint, item_no integer, weight double precision)
language sql
stable
begin atomic
    with source_weight as (
        select o.source_no, o.source, l.list_no, l.is_added, l.history_length, l.history_decay, l.history_rate,
            (p.weights ->> o.source)::double precision * recsql.policy_scale(p.kind) as weight
        from recsql.fusion_policy as p
        inner join recsql.source as o on o.kind = 'similarity' and (p.weights ->> o.source)::double precision > 0
        inner join recsql.source_list as l on l.source_no = o.source_no
        where p.policy_no = p_policy_no
    ),

    history as (
        select
            o.source_no,
            o.source,
            o.list_no,
            o.weight as source_weight,
            n.item_no,
            n.weight * recsql.step_weight(o.history_decay, o.history_rate, n.position::integer - 1) as weight,
            s.similarities[1] as nearest
        from source_weight as o
        cross join unnest(p_new_nos, p_new_weights) with ordinality as n (item_no, weight, position)
        inner join recsql.item_similarity as s
            on s.run_no = p_run_no and s.source_no = o.list_no and s.item_no = n.item_no
        where
            n.weight > 0 and n.position <= least(o.history_length, 20) and s.similarities[1] > 0
            -- Of an item that is there twice the newest says how it is liked.
            and n.position = array_position(p_new_nos, n.item_no)
    )

    -- On the scale of what is published for the user; without it, of the most that the new items could add up to.
    select
        'live ' || h.source,
        h.list_no,
        h.item_no,
        h.source_weight * h.weight / case
            -- A new item adds no more than the weight of the source, however much of the history has faded.
            when c.scores[1] > 0
                then greatest(c.scores[1]::double precision, max(h.weight * h.nearest) over (partition by h.source_no))
            else sum(h.weight * h.nearest) over (partition by h.source_no)
        end
    from history as h
    left join recsql.candidate as c
        on c.run_no = p_run_no and c.user_no = p_user_no and c.source_no = h.source_no
    union all
    select 'context ' || o.source, o.list_no, p_context_no, o.weight / s.similarities[1]
    from source_weight as o
    inner join recsql.item_similarity as s
        on s.run_no = p_run_no and s.source_no = o.list_no and s.item_no = p_context_no
    where s.similarities[1] > 0 and not o.is_added;
end;

comment on function recsql.fresh_weight(integer, integer, integer, integer [], double precision [], integer) is
'What similarity to an item adds to a score, in the component live … for the newest 20 of p_new_nos (the newest first), and in '
'context … for the item in view, whose nearest neighbour in the source''s own list gets the whole weight of the source. source_no is that of the list to read.';
