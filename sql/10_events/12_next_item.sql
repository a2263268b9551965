-- recsql.next_item: one row per user of an offline run who has relevant items.
create function recsql.next_item(p_run_no integer)
returns table (user_no integer, item_no integer)
language sql
stable
begin atomic
    select distinct on (e.user_no) e.user_no, e.item_no
    from recsql.relevant_event(p_run_no) as e
    order by e.user_no, e.at, e.event_no;
end;

comment on function recsql.next_item(integer) is
'The first item that each user of an offline run turned to after the cut: what a model of the next item is chosen by.';
