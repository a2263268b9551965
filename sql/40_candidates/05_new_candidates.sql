-- recsql.new_candidates: the p_n newest items that each user does not know yet; unordered.
create function recsql.new_candidates(
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
    with moment as materialized (
        select
            r.run_no,
            coalesce((select max(c.cut_at) from recsql.split_cut as c where c.split_no = r.split_no), r.as_of) as at,
            r.split_no is null and p_is_live as is_now
        from recsql.run as r
        where r.run_no = p_run_no
    ),

    newest as (
        select i.item_no, greatest(0, extract(epoch from i.run_at - i.fresh_at)) as age
        from (
            select a.item_no, coalesce(a.published_at, a.created_at) as fresh_at, m.at as run_at
            from moment as m
            inner join recsql.item as a
                on coalesce(a.published_at, a.created_at) <= case when m.is_now then greatest(m.at, now()) else m.at end
            order by coalesce(a.published_at, a.created_at) desc, a.item_no
        ) as i
        where
            case
                when p_is_live then exists (select from recsql.catalogue(p_run_no) as c where c.item_no = i.item_no offset 0)
                else i.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
            end
        limit 1000
    ),

    ranked as materialized (
        select
            n.item_no,
            -- A month halves it; below 2^-60 it would be nothing.
            power(0.5::double precision, least(60, n.age / 2592000)::double precision)
            * (
                1 + coalesce(p.trend, 0)::double precision / coalesce(
                    (select nullif(max(t.trend), 0) from recsql.item_popularity as t where t.run_no = p_run_no), 1
                )
            ) as score
        from newest as n
        left join recsql.item_popularity as p on p.run_no = p_run_no and p.item_no = n.item_no
        order by score desc, n.item_no
    )

    select u.user_no, n.item_no, n.score
    from recsql.candidate_user(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as u
    cross join lateral (
        select r.item_no, r.score
        from ranked as r
        where r.item_no not in (select unnest(u.barred_nos))
        limit p_n
    ) as n;
end;

comment on function recsql.new_candidates(integer, smallint, integer, integer, integer, boolean) is
'Of the thousand newest items (by published_at, else by when they came into the catalogue) those that each user does not know '
'yet. score: 0.5 ^ (age in months) × (1 + trend / the highest trend); age counts to the run, or to the last cut of its split.';
