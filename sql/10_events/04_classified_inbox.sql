-- recsql.classified_inbox: one row per raw event of a load, typed, with the reason for which it cannot be used.
create function recsql.classified_inbox(
    p_load_no integer, p_units_per_second double precision, p_bots text [], p_now timestamptz
)
returns table (
    inbox_no bigint,
    user_no integer,
    item_no integer,
    kind_no smallint,
    value real,
    at timestamptz,
    request_id uuid,
    reason text
)
language sql
stable
begin atomic
    with typed as (
        select
            i.inbox_no,
            i.user_id,
            i.item_id,
            i.kind,
            i.at as raw_at,
            i.value as raw_value,
            case when pg_input_is_valid(i.value, 'real') then i.value::real end as value,
            case when i.at is null then p_now else recsql.parse_at(i.at, p_units_per_second) end as at,
            case when pg_input_is_valid(i.request_id, 'uuid') then i.request_id::uuid end as request_id
        from recsql.event_inbox as i
        where i.load_no = p_load_no
    )

    select
        t.inbox_no,
        u.user_no,
        m.item_no,
        k.kind_no,
        t.value,
        t.at,
        t.request_id,
        case
            when t.user_id = any (p_bots) then 'bot-like user: too many events in one minute'
            when u.user_no is null then 'malformed user id'
            when m.item_no is null then 'malformed item id'
            when k.kind_no is null then 'unknown kind of event'
            when t.at is null and pg_input_is_valid(t.raw_at, 'double precision')
                and t.raw_at::double precision / p_units_per_second between 4102444800 and 4102444800e6
                then 'time out of range: milliseconds or smaller units? (load with --time-unit ms, us or ns)'
            when t.at is null then 'time is not ISO 8601 or Unix time from 1970 to 2100'
            when t.value is null and t.raw_value is not null then 'value is not a number'
            when t.value is null and k.needs_value then 'no value'
            when not t.value between coalesce(k.value_min, '-3e38'::real) and coalesce(k.value_max, '3e38'::real)
                then 'value out of range'
        end as reason
    from typed as t
    left join recsql.app_user as u on u.user_id = t.user_id
    left join recsql.item as m on m.item_id = t.item_id
    left join recsql.event_kind as k on k.kind = t.kind;
end;

comment on function recsql.classified_inbox(integer, double precision, text [], timestamptz) is
'The raw events of one load with their keys, typed values, and the first reason for which each cannot be used (null: none).';
