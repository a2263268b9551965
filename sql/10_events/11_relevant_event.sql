-- recsql.relevant_event: one row per user and item that an offline run should have found.
create function recsql.relevant_event(p_run_no integer)
returns table (user_no integer, item_no integer, at timestamptz, event_no bigint)
language sql
stable
-- Estimates behind the cut are far too low, and nested loops would be chosen where a hash is far faster.
set enable_nestloop = off
begin atomic
    select distinct on (e.user_no, e.item_no) e.user_no, e.item_no, e.at, e.event_no
    from recsql.run as r
    inner join recsql.split as s on s.split_no = r.split_no
    inner join recsql.split_cut as c on c.split_no = s.split_no
    inner join recsql.event as e
        on e.user_no = c.user_no
        and (e.at, e.event_no) > (c.cut_at, c.cut_event_no)
        and (e.at, e.event_no) <= (c.until_at, c.until_event_no)
        and e.event_no <= s.last_event_no
    inner join recsql.event_kind as k on k.kind_no = e.kind_no and k.weight > 0
    inner join recsql.split_item as i on i.split_no = s.split_no and i.item_no = e.item_no
    where
        r.run_no = p_run_no
        and not exists (
            select from recsql.event as p
            where
                p.user_no = e.user_no and p.item_no = e.item_no
                and (p.at, p.event_no) <= (c.cut_at, c.cut_event_no)
        )
    order by e.user_no, e.item_no, e.at, e.event_no;
end;

comment on function recsql.relevant_event(integer) is
'What an offline run is measured against: items that each user turned to for the first time between the cut and its end, with '
'the event that shows it. '
'Read by evaluation and by the fitting of fusion weights on validation, by nothing else.';
