-- recsql.similarity_candidates: the p_n best items of each user; unordered.
create function recsql.similarity_candidates(
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
        select h.user_no, h.list_nos, h.item_nos, h.weights, h.barred_nos
        from recsql.history(p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_is_live) as h
        where h.item_nos is not null
    )

    -- User by user, so that the sums of one user stay in the processor's cache.
    select u.user_no, n.item_no, n.score
    from reader as u
    cross join lateral (
        select g.item_no, g.score
        from (
            select t.item_no, t.score
            from (
                select p.item_no, sum(p.score) as score
                from (
                    select unnest(s.neighbour_nos) as item_no, h.weight * unnest(s.similarities) as score
                    from unnest(u.list_nos, u.item_nos, u.weights) as h (list_no, item_no, weight)
                    inner join recsql.item_similarity as s
                        on s.run_no = p_run_no and s.source_no = h.list_no and s.item_no = h.item_no
                    union all
                    -- In the same sum, which is cheaper than looking each item up.
                    select unnest(u.barred_nos), '-Infinity'
                ) as p
                group by p.item_no
                having sum(p.score) > 0
                -- Sums first: there are fewer of them than neighbours to look up.
                offset 0
            ) as t
            where p_is_live or t.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
            order by t.score desc, t.item_no
        ) as g
        where not p_is_live or exists (select from recsql.catalogue(p_run_no) as c where c.item_no = g.item_no offset 0)
        limit p_n
    ) as n;
end;

comment on function recsql.similarity_candidates(integer, smallint, integer, integer, integer, boolean) is
'Collaborative filtering as one weighted join: the score of an item is the sum, over the user''s recent items, of recency × '
'weight × similarity, added up over the lists of the source. Users are given as a range of user_no; p_is_live: with what they did since the run.';
