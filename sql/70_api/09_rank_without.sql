-- recsql.rank_without: one row per item that the user had and that bears on a published item.
create function recsql.rank_without(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_item_no integer,
    p_known_nos integer [],
    p_known_weights double precision [],
    p_new_nos integer [],
    p_new_weights double precision []
)
returns table (evidence_no integer, rank integer)
language sql
stable
begin atomic
    with listed as materialized (
        select r.item_no, r.score, r.parts
        from recsql.recommendation as r
        where
            r.run_no = p_run_no and r.user_no = p_user_no
            and exists (
                select from recsql.recommendation as m
                where m.run_no = p_run_no and m.user_no = p_user_no and m.item_no = p_item_no
            )
    ),

    part as materialized (
        select l.item_no, k.key as component, k.value::double precision as contribution
        from listed as l
        cross join lateral jsonb_each_text(l.parts) as k
    ),

    -- As evidence has it, of the whole list at once.
    heard as (
        select n.item_no, n.component, n.evidence_no, sum(n.score) as score
        from (
            select o.source as component, h.item_no as evidence_no, unnest(s.neighbour_nos) as item_no,
                h.weight * recsql.step_weight(l.history_decay, l.history_rate, h.place::integer - 1) * unnest(s.similarities) as score
            from recsql.source as o
            inner join recsql.source_list as l on l.source_no = o.source_no
            inner join unnest(p_known_nos, p_known_weights) with ordinality as h (item_no, weight, place)
                on h.place <= l.history_length and h.weight > 0
            inner join recsql.item_similarity as s
                on s.run_no = p_run_no and s.source_no = l.list_no and s.item_no = h.item_no
            where o.kind = 'similarity' and o.source in (select p.component from part as p)
        ) as n
        where n.item_no in (select l.item_no from listed as l)
        group by n.item_no, n.component, n.evidence_no
        union all
        select t.item_no, o.source as component, h.item_no as evidence_no,
            -h.weight * recsql.step_weight(o.history_decay, o.history_rate, h.place::integer - 1) * (e.embedding <#> t.embedding)
        from recsql.source as o
        inner join unnest(p_known_nos, p_known_weights) with ordinality as h (item_no, weight, place)
            on h.place <= o.history_length
        cross join recsql.content_space as c
        inner join recsql.item_embedding as e on e.space_no = c.space_no and e.item_no = h.item_no
        inner join recsql.item_embedding as t on t.space_no = c.space_no and t.item_no in (select l.item_no from listed as l)
        where o.kind in ('vector', 'cross_domain') and o.source in (select p.component from part as p)
    ),

    shared as (
        select h.item_no, h.component, h.evidence_no,
            h.score / nullif(sum(h.score) over (partition by h.item_no, h.component), 0) as share
        from heard as h
        union all
        select o.item_no, o.component, o.evidence_no, o.share
        from recsql.occlusion(p_run_no, p_policy_no, p_user_no, array(select l.item_no from listed as l)) as o
    ),

    live as materialized (
        select n.item_no, n.evidence_no, sum(n.score) as score
        from (
            select f.item_no as evidence_no, unnest(s.neighbour_nos) as item_no, f.weight * unnest(s.similarities) as score
            from recsql.fresh_weight(p_run_no, p_policy_no, p_user_no, p_new_nos, p_new_weights, null) as f
            inner join recsql.item_similarity as s
                on s.run_no = p_run_no and s.source_no = f.source_no and s.item_no = f.item_no
        ) as n
        where n.item_no in (select l.item_no from listed as l)
        group by n.item_no, n.evidence_no
    ),

    lost as materialized (
        select c.item_no, c.evidence_no, sum(c.contribution) as score
        from (
            select s.item_no, s.evidence_no, p.contribution * s.share as contribution
            from shared as s
            inner join part as p on p.item_no = s.item_no and p.component = s.component
            union all
            select l.item_no, l.evidence_no, l.score
            from live as l
        ) as c
        group by c.item_no, c.evidence_no
    ),

    scored as materialized (
        select r.item_no, r.score + coalesce(l.score, 0) as score
        from listed as r
        left join (select n.item_no, sum(n.score) as score from live as n group by n.item_no) as l on l.item_no = r.item_no
    )

    select w.evidence_no,
        1 + (count(*) filter (where o.item_no <> p_item_no and o.score - coalesce(x.score, 0) > m.score - w.score))::integer
    from lost as w
    inner join scored as m on m.item_no = w.item_no
    cross join scored as o
    left join lost as x on x.item_no = o.item_no and x.evidence_no = w.evidence_no
    where w.item_no = p_item_no
    group by w.evidence_no;
end;

comment on function recsql.rank_without(
    integer, integer, integer, integer, integer [], double precision [], integer [], double precision []
) is
'Where an item would stand among what is published for the user, and counted anew with what he did since, without one of the items that '
'he had (p_known_nos, p_new_nos: the newest first), were each of them to lack what that one adds to it and nothing else to change. No row '
'where the item is not published.';
