-- recsql.history_part: one row per item and component; unordered.
create function recsql.history_part(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_had_nos integer [],
    p_had_weights double precision [],
    p_personal_share double precision
)
returns table (item_no integer, component text, contribution double precision)
language sql
stable
begin atomic
    with summed as (
        select n.item_no, n.source, sum(n.weight * n.similarity) as score
        from (
            select substr(f.component, 6) collate "C" as source, f.weight, unnest(s.neighbour_nos) as item_no,
                unnest(s.similarities) as similarity
            from recsql.fresh_weight(p_run_no, p_policy_no, p_user_no, p_had_nos, p_had_weights, null) as f
            inner join recsql.item_similarity as s
                on s.run_no = p_run_no and s.source_no = f.source_no and s.item_no = f.item_no
        ) as n
        group by n.item_no, n.source
        having sum(n.weight * n.similarity) > 0
    )

    select
        s.item_no,
        'cold ' || s.source,
        (p.weights ->> s.source)::double precision * recsql.policy_scale(p.kind)
        * s.score / max(s.score) over (partition by s.source, i.domain)
        * p_personal_share
    from summed as s
    -- Item by item: a join would read the whole catalogue for a few of its rows.
    cross join lateral (select m.domain from recsql.item as m where m.item_no = s.item_no offset 0) as i
    cross join recsql.fusion_policy as p
    where p.policy_no = p_policy_no;
end;

comment on function recsql.history_part(integer, integer, integer, integer [], double precision [], double precision) is
'What items are worth for their similarity to the newest 20 of what the user had (p_had_nos, the newest first), in components cold '
'SOURCE: the best of each domain is worth the weight of the source times p_personal_share, since what leads from one domain into another '
'is always weaker than what stays in one.';
