-- recsql.current_sequence: one row per user of p_user_nos.
create function recsql.current_sequence(p_user_nos integer [], p_length integer default 640)
returns table (user_no integer, item_nos integer [])
language sql
stable
begin atomic
    with dated as (
        select
            e.user_no, e.item_no, e.at, e.event_no, k.weight, k.half_life,
            max(e.at) over (partition by e.user_no, e.item_no) as newest_at
        from unnest(p_user_nos) as u (user_no)
        inner join recsql.event as e on e.user_no = u.user_no
        inner join recsql.event_kind as k on k.kind_no = e.kind_no
    ),

    positive as (
        select
            d.user_no,
            d.item_no,
            row_number() over (partition by d.user_no order by max(d.at) desc, max(d.event_no) desc) as position
        from dated as d
        group by d.user_no, d.item_no
        having sum(d.weight * recsql.faded(d.newest_at - d.at, d.half_life)) > 0
    )

    select
        u.user_no,
        coalesce(array_agg(p.item_no order by p.position) filter (where p.position <= p_length), '{}') as item_nos
    from unnest(p_user_nos) as u (user_no)
    left join positive as p on p.user_no = u.user_no
    group by u.user_no;
end;

comment on function recsql.current_sequence(integer [], integer) is
'The newest p_length positive items of users, the newest first, from all events that there are now: what refresh_interaction and '
'refresh_user_sequence would write of them.';
