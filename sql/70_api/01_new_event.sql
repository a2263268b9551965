-- recsql.new_event: one row per item with events that a run does not know yet; those of positive weight first, the newest first.
create function recsql.new_event(p_run_no integer, p_user_no integer)
returns table (item_no integer, weight double precision)
language sql
stable
begin atomic
    select n.item_no, n.weight
    from (
        select e.item_no, sum(k.weight)::double precision as weight, max(e.at) as at, max(e.event_no) as event_no
        from (
            select r.item_no, r.kind_no, r.at, r.event_no
            from recsql.event as r
            where r.user_no = p_user_no
            order by r.at desc
            limit 500
        ) as e
        inner join recsql.event_kind as k on k.kind_no = e.kind_no
        left join recsql.interaction as i
            on i.run_no = p_run_no and i.user_no = p_user_no and i.item_no = e.item_no
        where i.event_no is null or i.event_no < e.event_no
        group by e.item_no
    ) as n
    order by n.weight > 0 desc, n.at desc, n.event_no desc;
end;

comment on function recsql.new_event(integer, integer) is
'What a user did, among the newest 500 events, that a run does not know: items with their summed weight, first those of positive '
'weight, the newest first.';
