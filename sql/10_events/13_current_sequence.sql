-- recsql.current_sequence: one row per user of p_user_nos.
create function recsql.current_sequence(p_user_nos integer [], p_length integer default 640)
returns table (user_no integer, item_nos integer [], weights real [], ratings real [])
language sql
stable
begin atomic
    with positive as (
        select
            w.user_no, w.item_no, w.weight,
            row_number() over (partition by w.user_no order by w.at desc, w.event_no desc) as position
        from (
            select e.user_no, e.item_no, sum(k.weight) as weight, max(e.at) as at, max(e.event_no) as event_no
            from unnest(p_user_nos) as u (user_no)
            inner join recsql.event as e on e.user_no = u.user_no
            inner join recsql.event_kind as k on k.kind_no = e.kind_no
            group by e.user_no, e.item_no
            having sum(k.weight) > 0
        ) as w
    )

    select
        u.user_no,
        coalesce(array_agg(p.item_no order by p.position) filter (where p.item_no is not null), '{}'),
        coalesce(array_agg(p.weight order by p.position) filter (where p.item_no is not null), '{}'),
        coalesce(array_agg(null::real order by p.position) filter (where p.item_no is not null), '{}')
    from unnest(p_user_nos) as u (user_no)
    left join positive as p on p.user_no = u.user_no and p.position <= p_length
    group by u.user_no;
end;

comment on function recsql.current_sequence(integer [], integer) is
'The newest p_length positive items of users as user_sequence has them, from all events that there are now.';
