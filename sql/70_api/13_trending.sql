-- recsql_api.trending: most consumed first.
create function recsql_api.trending(
    p_n integer default 10, p_domain text default null, p_window interval default '7 days'
)
returns table (rank integer, item_id text, score double precision)
language plpgsql
stable
security definer
set search_path = recsql, pg_temp
-- Only a plan that knows the domain can choose between the index of scores and that of domains.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    v_n_hours integer := ceil(extract(epoch from p_window) / 3600);
    v_window_no smallint := (select w.window_no from trend_window as w where w.n_hours is not distinct from v_n_hours);
    v_n integer := case when p_n < 0 then 0 else p_n end;
    v_newest integer;
    v_item_nos integer[];
    v_scores bigint[];
begin
    if v_window_no is not null then
        -- What is not counted yet is counted here, for this answer.
        select coalesce(array_agg(c.item_no), '{}'), coalesce(array_agg(c.score), '{}')
        into v_item_nos, v_scores
        from activity_change() as c
        where c.window_no = v_window_no;
        return query
        select (row_number() over (order by s.score desc, s.item_no))::integer, s.item_id, s.score / 1000000.0::double precision
        from (
            (
                select t.item_no, i.item_id, t.score
                from item_trend as t
                inner join item as i on i.item_no = t.item_no
                where
                    t.window_no = v_window_no and t.score > 0 and t.item_no <> all (v_item_nos)
                    and i.available and (p_domain is null or i.domain = p_domain)
                order by t.score desc, t.item_no  -- as the index has it, so that items of equal score are not read for nothing
                limit v_n
            )
            union all
            select c.item_no, i.item_id, c.score + coalesce(t.score, 0)
            from unnest(v_item_nos, v_scores) as c (item_no, score)
            inner join item as i on i.item_no = c.item_no
            left join item_trend as t on t.window_no = v_window_no and t.item_no = c.item_no
            where c.score + coalesce(t.score, 0) > 0 and i.available and (p_domain is null or i.domain = p_domain)
        ) as s
        order by s.score desc, s.item_no
        limit v_n;
        return;
    end if;
    v_newest := activity_newest();
    return query
    select (row_number() over (order by s.score desc, s.item_no))::integer, i.item_id, s.score / 1000000.0::double precision
    from (
        select a.item_no, sum(a.n_events * activity_weight(v_newest, a.hour, v_n_hours, k.weight, k.half_life)) as score
        from (
            select b.hour, b.item_no, b.kind_no, b.n_events
            from item_activity as b
            where b.hour > v_newest - v_n_hours and b.hour <= v_newest
            union all
            select p.hour, p.item_no, p.kind_no, p.n_after - p.n_before from pending_activity() as p
        ) as a
        inner join activity_kind as k on k.kind_no = a.kind_no
        group by a.item_no
    ) as s
    inner join item as i on i.item_no = s.item_no
    where s.score > 0 and i.available and (p_domain is null or i.domain = p_domain)
    order by s.score desc, s.item_no
    limit v_n;
end
$$;

comment on function recsql_api.trending(integer, text, interval) is
'Items that were consumed most of late, best first. p_n: at most so many, null for all; p_domain: only this domain, null for '
'all; p_window: rounded up to whole hours (UTC), of which the newest is that of the newest event up to now, and of more than 31 '
'days ago to whole days; null for all that ever happened. A day, seven days, thirty days and null (recsql.trend_window) are '
'kept summed, others are summed when asked for. Gives rank from 1, item_id and score: each event counts with the weight of its '
'kind, repeats too, a dislike against the item, halved each time that the half-life of its kind is over; items without a '
'positive score are left out. Every event counts at once, those of a load with the next recsql.refresh_activity. Raises no '
'errors of its own.';
