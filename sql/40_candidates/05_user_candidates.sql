-- recsql.user_candidates: the p_n best items of each user; unordered.
create function recsql.user_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean default false
)
returns table (user_no integer, item_no integer, score double precision)
language sql
stable
begin atomic
    with reader as materialized (
        select u.user_no, u.barred_nos, s.neighbour_nos, s.similarities
        from recsql.candidate_user(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as u
        inner join recsql.user_similarity as s
            on s.run_no = p_run_no and s.source_no = p_source_no and s.user_no = u.user_no
    ),

    recent as (
        select i.user_no, i.item_no, recsql.step_weight(o.history_decay, o.history_rate, i.step) * i.weight as weight
        from recsql.source as o
        inner join recsql.interaction as i on i.run_no = p_run_no and i.step < o.history_length
        where o.source_no = p_source_no
    )

    select u.user_no, n.item_no, n.score
    from reader as u
    cross join lateral (
        select g.item_no, g.score
        from (
            select t.item_no, t.score
            from (
                select p.item_no, sum(p.score) as score
                from (
                    select r.item_no, s.similarity * r.weight as score
                    from unnest(u.neighbour_nos, u.similarities) as s (user_no, similarity)
                    inner join recent as r on r.user_no = s.user_no
                    union all
                    select unnest(u.barred_nos), '-Infinity'
                ) as p
                group by p.item_no
                having sum(p.score) > 0
                offset 0
            ) as t
            where p_is_live or t.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
            order by t.score desc, t.item_no
        ) as g
        where not p_is_live or exists (select from recsql.catalogue(p_run_no) as c where c.item_no = g.item_no offset 0)
        limit p_n
    ) as n;
end;

comment on function recsql.user_candidates(integer, smallint, integer, integer, integer, boolean) is
'What similar users had last: the score of an item is the sum, over them, of similarity × recency × weight. Who is similar is '
'what the run found; p_is_live: without what the user had since.';
