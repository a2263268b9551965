-- recsql.trending_candidates: the p_n items of the highest trend that each user does not know yet; unordered.
create function recsql.trending_candidates(
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
    -- Read in its order and as far as somebody needs it, which the limit tells the planner: nobody gets near it.
    with ranked as materialized (
        select p.item_no, p.trend
        from (
            select a.item_no, a.trend
            from recsql.item_popularity as a
            where a.run_no = p_run_no
            order by a.trend desc, a.item_no
            limit 20000
        ) as p
        where
            case
                when p_is_live then exists (select from recsql.catalogue(p_run_no) as c where c.item_no = p.item_no offset 0)
                else p.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
            end
    )

    select u.user_no, n.item_no, n.trend::double precision
    from recsql.candidate_user(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as u
    cross join lateral (
        select r.item_no, r.trend
        from ranked as r
        where r.item_no not in (select unnest(u.barred_nos))
        limit p_n
    ) as n;
end;

comment on function recsql.trending_candidates(integer, smallint, integer, integer, integer, boolean) is
'The items that are consumed most of late that each user of a range of user_no does not know yet, neither, p_is_live, since '
'the run.';
