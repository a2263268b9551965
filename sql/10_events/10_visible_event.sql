-- recsql.visible_event: the events that a run may see.
create function recsql.visible_event(p_run_no integer)
returns table (
    event_no bigint, user_no integer, item_no integer, kind_no smallint, value real, at timestamptz
)
language sql
stable
begin atomic
    select e.event_no, e.user_no, e.item_no, e.kind_no, e.value, e.at
    from recsql.run as r
    inner join recsql.event as e on e.event_no <= r.last_event_no and e.at <= r.as_of
    where r.run_no = p_run_no and r.split_no is null
    union all
    select e.event_no, e.user_no, e.item_no, e.kind_no, e.value, e.at
    from recsql.run as r
    inner join recsql.split as s on s.split_no = r.split_no
    inner join recsql.split_cut as c on c.split_no = r.split_no
    -- What was written after the split was made may lie before the cut in time: it is no part of the protocol.
    inner join recsql.event as e
        on e.user_no = c.user_no and e.at <= c.cut_at and (e.at, e.event_no) <= (c.cut_at, c.cut_event_no)
        and e.event_no <= s.last_event_no
    inner join recsql.split_item as i on i.split_no = r.split_no and i.item_no = e.item_no
    where r.run_no = p_run_no and r.split_no is not null;
end;

comment on function recsql.visible_event(integer) is
'The only way in which training, similarity and candidates see events: in production all up to the run''s start, in an '
'offline run those up to each user''s cut, so that no later row can leak.';
