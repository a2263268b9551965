-- recsql.activity_change: one row per window and item whose sums in item_trend are not those of now.
create function recsql.activity_change()
returns table (window_no smallint, item_no integer, n_events bigint, score bigint)
language sql
stable
begin atomic
    with ends as materialized (
        select (select s.newest_hour from recsql.activity_state as s) as before, recsql.activity_newest() as after
    ),

    touched as materialized (
        select p.hour, p.item_no, p.kind_no, p.n_before, p.n_after from recsql.pending_activity() as p
    ),

    -- Ages at which an event begins to count, is halved, or falls out of a window.
    ages as (
        select 0 as age
        union
        select w.n_hours from recsql.trend_window as w where w.n_hours is not null
        union
        select k.half_life * j.halving
        from recsql.activity_kind as k
        cross join generate_series(1, 62) as j (halving)
        where k.half_life is not null and abs(k.weight) >> (j.halving - 1) > 0
    ),

    -- Buckets that reach one of these ages as the windows move on, or back; each once.
    ranges as (
        select unnest(range_agg(
            int4range(least(e.before, e.after) - a.age, greatest(e.before, e.after) - a.age, '(]')
        )) as hours
        from ends as e
        cross join ages as a
        where e.before <> e.after
    ),

    moved as (
        select a.hour, a.item_no, a.kind_no, a.n_events
        from ranges as r
        inner join recsql.item_activity as a on a.hour >= lower(r.hours) and a.hour < upper(r.hours)
        left join touched as t on t.hour = a.hour and t.item_no = a.item_no and t.kind_no = a.kind_no
        where t.hour is null
    ),

    changed as (
        select t.hour, t.item_no, t.kind_no, t.n_before, t.n_after from touched as t
        union all
        select m.hour, m.item_no, m.kind_no, m.n_events, m.n_events + 0 from moved as m
    ),

    summed as (
        select
            w.window_no,
            c.item_no,
            sum(
                case when recsql.is_in_window(e.after, c.hour, w.n_hours) then c.n_after else 0 end
                - case when recsql.is_in_window(e.before, c.hour, w.n_hours) then c.n_before else 0 end
            )::bigint as n_events,
            sum(
                c.n_after * recsql.activity_weight(e.after, c.hour, w.n_hours, k.weight, k.half_life)
                - c.n_before * recsql.activity_weight(e.before, c.hour, w.n_hours, k.weight, k.half_life)
            )::bigint as score
        from changed as c
        inner join recsql.activity_kind as k on k.kind_no = c.kind_no
        cross join recsql.trend_window as w
        cross join ends as e
        group by w.window_no, c.item_no
    )

    select s.window_no, s.item_no, s.n_events, s.score from summed as s where s.n_events <> 0 or s.score <> 0;
end;

comment on function recsql.activity_change() is
'What must be added to item_trend to bring it up to date, without writing it: events that came or went since, and those that '
'meanwhile fell out of a window or are worth half. Costs as much as there are of these.';
