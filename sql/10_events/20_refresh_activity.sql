-- recsql.refresh_activity: number of events counted in all.
create function recsql.refresh_activity(p_anew boolean default false)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '256MB'
as $$
declare
    c_hours_kept constant integer := 24 * 31;
    v_state activity_state;
    v_loads integer[];
    v_load record;
    v_definition text;
    v_is_anew boolean;
    v_rolled integer;
    v_n_events bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('recsql.refresh_activity', 0));
    -- These years are counted below; the lock settles with note_event which of us counts what is deleted meanwhile.
    select coalesce(array_agg(p.load_no), '{}') into v_loads
    from (select p.load_no from activity_pending as p where p.load_no is not null for update) as p;
    select * into v_state from activity_state;
    v_definition := (
        select md5(concat_ws(
            ' ',
            (select string_agg(concat_ws(',', k.kind_no, k.weight, k.half_life), ' ' order by k.kind_no) from activity_kind as k),
            (select string_agg(concat_ws(',', w.window_no, w.n_hours), ' ' order by w.window_no) from trend_window as w)
        ))
    );
    v_is_anew := p_anew or v_state.definition is null
        or v_state.n_events < (select coalesce(sum(l.n_events), 0) from load as l where l.load_no = any (v_loads));

    if v_is_anew then
        v_rolled := (select activity_hour(max(e.at)) from event as e where e.at <= now()) - c_hours_kept;
        v_rolled := greatest(v_state.rolled_before, v_rolled - v_rolled % 24);
        delete from item_activity;
        -- In one statement, since events and what is pending of them must be those of one moment.
        with counted as (
            delete from activity_pending as p where p.load_no is null or p.load_no = any (v_loads)
        )
        insert into item_activity (hour, item_no, kind_no, n_events)
        select e.bucket, e.item_no, e.kind_no, count(*)
        from (
            select
                e.item_no,
                e.kind_no,
                case when h.hour < v_rolled then h.hour - h.hour % 24 else h.hour end as bucket
            from event as e
            cross join lateral (select activity_hour(e.at) as hour) as h
            where
                not exists (
                    select from activity_pending as p
                    where
                        p.load_no = e.load_no and p.year = extract(year from e.at at time zone 'UTC')::integer
                        and p.load_no <> all (v_loads)
                )
        ) as e
        group by e.bucket, e.item_no, e.kind_no;
        update activity_state
        set
            rolled_before = v_rolled,
            newest_hour = coalesce((select max(a.hour) from item_activity as a where a.hour <= activity_hour(now())), 0),
            n_events = (select coalesce(sum(a.n_events), 0) from item_activity as a);
    else
        for v_load in select p.load_no, p.year from activity_pending as p where p.load_no = any (v_loads) loop
            insert into activity_pending (hour, item_no, kind_no, n_events)
            select activity_hour(e.at), e.item_no, e.kind_no, count(*)
            from event as e
            where
                e.load_no = v_load.load_no
                and e.at >= make_timestamptz(v_load.year, 1, 1, 0, 0, 0, 'UTC')
                and e.at < make_timestamptz(v_load.year + 1, 1, 1, 0, 0, 0, 'UTC')
            group by activity_hour(e.at), e.item_no, e.kind_no;
        end loop;
        delete from activity_pending as p where p.load_no = any (v_loads);
    end if;

    if v_is_anew or v_state.definition <> v_definition then
        delete from item_trend;
        insert into item_trend (window_no, item_no, n_events, score)
        select
            w.window_no,
            a.item_no,
            coalesce(sum(a.n_events) filter (where is_in_window(s.newest_hour, a.hour, w.n_hours)), 0),
            sum(a.n_events * activity_weight(s.newest_hour, a.hour, w.n_hours, k.weight, k.half_life))
        from activity_state as s
        cross join trend_window as w
        inner join item_activity as a on a.hour > s.newest_hour - w.n_hours or w.n_hours is null
        inner join activity_kind as k on k.kind_no = a.kind_no
        group by w.window_no, a.item_no;
        analyze item_activity, item_trend;
    end if;

    -- In one statement too: what is taken is what activity_change has seen.
    with change as materialized (
        select c.window_no, c.item_no, c.n_events, c.score from activity_change() as c
    ),

    taken as (
        delete from activity_pending as p where p.load_no is null returning p.n_events
    ),

    bucketed as (
        insert into item_activity as a (hour, item_no, kind_no, n_events)
        select p.hour, p.item_no, p.kind_no, p.n_after from pending_activity() as p
        on conflict (hour, item_no, kind_no) do update set n_events = excluded.n_events
    ),

    summed as (
        insert into item_trend as t (window_no, item_no, n_events, score)
        select c.window_no, c.item_no, c.n_events, c.score from change as c
        on conflict (window_no, item_no) do update
            set n_events = t.n_events + excluded.n_events, score = t.score + excluded.score
    )

    update activity_state as s
    set
        newest_hour = activity_newest(),
        n_events = s.n_events + (select coalesce(sum(t.n_events), 0) from taken as t),
        definition = v_definition,
        refreshed_at = now();
    delete from item_activity as a where a.n_events = 0;

    -- Hours of long ago become days.
    select * into v_state from activity_state;
    v_rolled := v_state.newest_hour - c_hours_kept;
    v_rolled := v_rolled - v_rolled % 24;
    if v_rolled > v_state.rolled_before then
        with hours as (
            delete from item_activity as a where a.hour >= v_state.rolled_before and a.hour < v_rolled returning a.*
        ),

        days as (
            insert into item_activity (hour, item_no, kind_no, n_events)
            select h.hour - h.hour % 24, h.item_no, h.kind_no, sum(h.n_events)
            from hours as h
            group by h.hour - h.hour % 24, h.item_no, h.kind_no
        ),

        change as (
            select
                w.window_no,
                h.item_no,
                sum(
                    case when is_in_window(v_state.newest_hour, h.hour - h.hour % 24, w.n_hours) then h.n_events else 0 end
                    - case when is_in_window(v_state.newest_hour, h.hour, w.n_hours) then h.n_events else 0 end
                ) as n_events,
                sum(h.n_events * (
                    activity_weight(v_state.newest_hour, h.hour - h.hour % 24, w.n_hours, k.weight, k.half_life)
                    - activity_weight(v_state.newest_hour, h.hour, w.n_hours, k.weight, k.half_life)
                )) as score
            from hours as h
            inner join activity_kind as k on k.kind_no = h.kind_no
            cross join trend_window as w
            group by w.window_no, h.item_no
        )

        update item_trend as t
        set n_events = t.n_events + c.n_events, score = t.score + c.score
        from change as c
        where t.window_no = c.window_no and t.item_no = c.item_no and (c.n_events <> 0 or c.score <> 0);
        update activity_state set rolled_before = v_rolled;
    end if;
    delete from item_trend as t where t.n_events = 0 and t.score = 0;
    return (select s.n_events from activity_state as s);
end
$$;

comment on function recsql.refresh_activity(boolean) is
'Brings item_activity and item_trend up to date at a cost that grows with what has changed: events that came or went, and those '
'that fell out of a window or are worth half by now. Hours older than 31 days become days. p_anew: counts all events again '
'instead, as the first time does and a load that is larger than all before it. Returns how many events are counted.';
