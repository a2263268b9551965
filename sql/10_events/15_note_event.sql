-- recsql.note_event: function of the triggers that watch event; reads their transition table changed.
create function recsql.note_event()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    insert into user_change (user_no) select distinct c.user_no from changed as c;
    if tg_op = 'INSERT' then
        insert into activity_pending (hour, item_no, kind_no, n_events)
        select activity_hour(c.at), c.item_no, c.kind_no, count(*)
        from changed as c
        group by activity_hour(c.at), c.item_no, c.kind_no;
        return null;
    end if;
    -- A year that a load brought and that is not counted yet will be counted without what goes now. Who counts it holds
    -- this lock, so either the year still waits when we get here and stays until we commit, or it has been counted.
    perform from activity_pending as p where p.load_no in (select c.load_no from changed as c) for update;
    insert into activity_pending (hour, item_no, kind_no, n_events)
    select activity_hour(c.at), c.item_no, c.kind_no, -count(*)
    from changed as c
    where
        not exists (
            select from activity_pending as p
            where p.load_no = c.load_no and p.year = extract(year from c.at at time zone 'UTC')::integer
        )
    group by activity_hour(c.at), c.item_no, c.kind_no;
    return null;
end
$$;

comment on function recsql.note_event() is
'Notes in activity_pending which events came and went, and in user_change whose, in the transaction in which they did, so that who '
'reads it loses and repeats nothing, whatever the order of numbers and commits.';
