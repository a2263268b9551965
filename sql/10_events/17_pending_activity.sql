-- recsql.pending_activity: one row per bucket, item and kind that changes.
create function recsql.pending_activity()
returns table (hour integer, item_no integer, kind_no smallint, n_before bigint, n_after bigint)
language sql
stable
begin atomic
    with pending as (
        select c.bucket, c.item_no, c.kind_no, sum(c.n_events)::bigint as n_events
        from (
            select
                p.item_no,
                p.kind_no,
                p.n_events,
                case when p.hour < (select s.rolled_before from recsql.activity_state as s) then p.hour - p.hour % 24 else p.hour end
                    as bucket
            from recsql.activity_pending as p
            where p.load_no is null
        ) as c
        group by c.bucket, c.item_no, c.kind_no
        having sum(c.n_events) <> 0
    )

    select p.bucket, p.item_no, p.kind_no, coalesce(a.n_events, 0), coalesce(a.n_events, 0) + p.n_events
    from pending as p
    -- limit 1 keeps it from becoming a join with all buckets.
    left join lateral (
        select b.n_events
        from recsql.item_activity as b
        where b.hour = p.bucket and b.item_no = p.item_no and b.kind_no = p.kind_no
        limit 1
    ) as a on true;
end;

comment on function recsql.pending_activity() is
'The buckets that change with what has not been counted yet: their events before and after. Years of a load are not among them '
'before refresh_activity has opened them.';
