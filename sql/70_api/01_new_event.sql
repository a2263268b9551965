-- recsql.new_event: one row per item with events of the user that a run does not know yet.
create function recsql.new_event(p_run_no integer, p_user_no integer)
returns table (item_no integer, weight double precision, at timestamptz, event_no bigint, step bigint)
language sql
stable
begin atomic
    select
        n.item_no,
        n.weight,
        n.at,
        n.event_no,
        case
            when n.weight > 0
                then row_number() over (partition by n.weight > 0 order by n.at desc, n.event_no desc) - 1
        end as step
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
    ) as n;
end;

comment on function recsql.new_event(integer, integer) is
'What a user did, among the newest 500 events, that a run does not know: summed weight, newest time, and steps back (0: the '
'newest; null where the weight is not positive).';
