-- recsql_api.trending: most consumed first.
create function recsql_api.trending(
    p_n integer default 10, p_domain text default null, p_window interval default '7 days'
)
returns table (rank integer, item_id text, score double precision)
language sql
stable
security definer
set search_path = recsql, pg_temp
begin atomic
    with served as (
        select r.run_no, u.last_event_no
        from recsql.release as r
        inner join recsql.run as u on u.run_no = r.run_no
        where r.slot = 'default'
    ),

    fresh as (
        select e.item_no, e.at, greatest(k.weight, 0) as weight
        from recsql.event as e
        inner join recsql.event_kind as k on k.kind_no = e.kind_no
        where e.event_no > coalesce((select s.last_event_no from served as s), 0)
    ),

    newest as (
        select greatest(
            (select max(f.at) from fresh as f),
            (select max(a.day) + 1 from recsql.item_activity as a where a.run_no = (select s.run_no from served as s))
            at time zone 'UTC'
        ) as at
    ),

    summed as (
        select a.item_no, sum(a.weight) as score
        from (
            select d.item_no, d.weight
            from recsql.item_activity as d
            where
                d.run_no = (select s.run_no from served as s)
                and d.day >= ((select n.at from newest as n) - p_window)::date
            union all
            select f.item_no, f.weight from fresh as f where f.at > (select n.at from newest as n) - p_window
        ) as a
        group by a.item_no
    )

    select (row_number() over (order by s.score desc, i.item_id))::integer, i.item_id, s.score::double precision
    from summed as s
    inner join recsql.item as i on i.item_no = s.item_no
    where i.available and s.score > 0 and (p_domain is null or i.domain = p_domain)
    order by s.score desc, i.item_id
    limit greatest(p_n, 0);
end;

comment on function recsql_api.trending(integer, text, interval) is
'Items that were consumed most within p_window before the newest event, best first: whole days from the last run and every '
'event since. p_n: at most so many, null for all; p_domain: only this domain, null for all; p_window: a positive interval. '
'Gives rank from 1, item_id and score (sum of the weights of event_kind). Raises no errors of its own.';
