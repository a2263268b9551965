-- recsql.known_interaction: one row per user and item.
create function recsql.known_interaction(
    p_run_no integer, p_first_user_no integer, p_last_user_no integer, p_is_live boolean default false
)
returns table (
    user_no integer,
    item_no integer,
    step integer,
    weight real,
    rating real,
    n_events integer,
    at timestamptz,
    event_no bigint
)
language sql
stable
begin atomic
    select i.user_no, i.item_no, i.step, i.weight, i.rating, i.n_events, i.at, i.event_no
    from recsql.interaction as i
    where i.run_no = p_run_no and i.user_no between p_first_user_no and p_last_user_no and not p_is_live
    union all
    select
        p.user_no,
        p.item_no,
        case
            when p.is_positive
                then row_number() over (
                    partition by p.user_no, p.is_positive order by p.at desc, p.event_no desc
                )::integer - 1
        end,
        p.weight,
        p.rating,
        p.n_events,
        p.at,
        p.event_no
    from (
        select
            e.user_no,
            e.item_no,
            sum(e.weight) as weight,
            max(e.rating) as rating,
            sum(e.n_events)::integer as n_events,
            max(e.at) as at,
            max(e.event_no) as event_no,
            case when bool_or(e.is_new) then sum(e.weight) > 0 else bool_or(e.is_positive) end as is_positive
        from (
            select i.user_no, i.item_no, i.weight, i.rating, i.n_events, i.at, i.event_no, i.step is not null as is_positive,
                false as is_new
            from recsql.interaction as i
            where i.run_no = p_run_no and i.user_no between p_first_user_no and p_last_user_no
            union all
            -- An offline run knows no now.
            select v.user_no, v.item_no, k.weight, null, 1, v.at, v.event_no, null, true
            from recsql.run as r
            inner join recsql.event as v
                on v.user_no between p_first_user_no and p_last_user_no
                and (v.event_no > r.last_event_no or v.at > r.as_of)
            inner join recsql.event_kind as k on k.kind_no = v.kind_no
            where r.run_no = p_run_no and r.split_no is null
        ) as e
        group by e.user_no, e.item_no
    ) as p
    where p_is_live;
end;

comment on function recsql.known_interaction(integer, integer, integer, boolean) is
'What sources read of the users in a range of user_no: the run''s interaction rows or, live, those and what the users did since '
'the run (of full weight and without a rating), with steps counted anew.';
