-- recsql.popularity_candidates: the p_n most popular items that each user does not know yet.
create function recsql.popularity_candidates(
    p_run_no integer, p_by_trend boolean, p_first_user_no integer, p_last_user_no integer, p_n integer
)
returns table (user_no integer, item_no integer, score double precision)
language sql
stable
begin atomic
    with scored as (
        select
            p.item_no,
            c.allows_repeat,
            (case when p_by_trend then p.trend else p.popularity end)::double precision as score
        from recsql.item_popularity as p
        inner join recsql.catalogue(p_run_no) as c on c.item_no = p.item_no
        where p.run_no = p_run_no
    ),

    ranked as materialized (
        select s.*, row_number() over (order by s.score desc, s.item_no) as position from scored as s
    ),

    users as (
        select u.user_no, count(*) as n_known
        from (
            select i.user_no
            from recsql.interaction as i
            where i.run_no = p_run_no
            union all
            -- Users of a protocol of whom nothing is known yet get what recommend() would give them.
            select c.user_no
            from recsql.run as r
            inner join recsql.split_cut as c on c.split_no = r.split_no
            where r.run_no = p_run_no
        ) as u
        where u.user_no between p_first_user_no and p_last_user_no
        group by u.user_no
    )

    select u.user_no, n.item_no, n.score
    from users as u
    cross join lateral (
        select r.item_no, r.score
        from ranked as r
        where
            -- Further down nothing can be among the p_n, even if all that the user knows stands above.
            r.position <= p_n + u.n_known
            and (
                r.allows_repeat or not exists (
                    select from recsql.interaction as i
                    where i.run_no = p_run_no and i.user_no = u.user_no and i.item_no = r.item_no
                )
            )
        order by r.position
        limit p_n
    ) as n;
end;

comment on function recsql.popularity_candidates(integer, boolean, integer, integer, integer) is
'The most popular items, by summed weight or by trend, that each user of a range of user_no does not know yet.';
