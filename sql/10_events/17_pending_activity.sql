-- recsql.pending_activity: one row per bucket, item and kind that changes.
create function recsql.pending_activity()
returns table (hour integer, item_no integer, kind_no smallint, n_before bigint, n_after bigint)
language sql
stable
begin atomic
    with pending as (
        select
            case when p.hour < s.rolled_before then p.hour - p.hour % 24 else p.hour end as hour,
            p.item_no,
            p.kind_no,
            sum(p.n_events)::bigint as n_events
        from recsql.activity_pending as p
        cross join recsql.activity_state as s
        where p.load_no is null and s.is_only
        group by case when p.hour < s.rolled_before then p.hour - p.hour % 24 else p.hour end, p.item_no, p.kind_no
        having sum(p.n_events) <> 0
    )

    select p.hour, p.item_no, p.kind_no, coalesce(a.n_events, 0), coalesce(a.n_events, 0) + p.n_events
    from pending as p
    -- limit 1 keeps it from becoming a join with all buckets.
    left join lateral (
        select b.n_events
        from recsql.item_activity as b
        where b.hour = p.hour and b.item_no = p.item_no and b.kind_no = p.kind_no
        limit 1
    ) as a on true;
end;

comment on function recsql.pending_activity() is
'The buckets that change with what has not been counted yet: their events before and after. Years of a load are not among them '
'before refresh_activity has opened them.';
