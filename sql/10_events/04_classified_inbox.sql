-- recsql.classified_inbox: one row per raw event of a load, typed, with the reason for which it cannot be used.
create function recsql.classified_inbox(
    p_load_no integer, p_units_per_second double precision, p_bots text [], p_now timestamptz
)
returns table (
    inbox_no bigint,
    line_no text,
    user_id text,
    item_id text,
    kind text,
    raw_value text,
    raw_at text,
    raw_request_id text,
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
    -- "offset 0" keeps each of the two steps apart: otherwise each use of a value would parse it again.
    with parsed as (
        select
            i.*,
            case when pg_input_is_valid(i.value, 'real') then i.value::real end as number,
            case when pg_input_is_valid(i.at, 'double precision') then i.at::double precision / p_units_per_second end
                as seconds,
            case when pg_input_is_valid(i.request_id, 'uuid') then i.request_id::uuid end as request
        from recsql.event_inbox as i
        where i.load_no = p_load_no
        offset 0
    ),

    typed as (
        select
            p.*,
            case when p.at is null then p_now else recsql.event_time(p.at, p.seconds) end as moment
        from parsed as p
        offset 0
    )

    select
        t.inbox_no,
        t.line_no,
        t.user_id,
        t.item_id,
        t.kind,
        t.value,
        t.at,
        t.request_id,
        u.user_no,
        m.item_no,
        k.kind_no,
        t.number,
        t.moment,
        t.request,
        case
            when t.user_id = any (p_bots) then 'bot-like user: too many events in one minute'
            when u.user_no is null then 'malformed user id'
            when m.item_no is null then 'malformed item id'
            when k.kind_no is null then 'unknown kind of event'
            when t.moment is null and t.seconds between 4102444800 and 4102444800e6
                then 'time out of range: milliseconds or smaller units? (load with --time-unit ms, us or ns)'
            when t.moment is null then 'time is not ISO 8601 or Unix time from 1970 to 2100'
            when t.number is null and t.value is not null then 'value is not a number'
            when t.number is null and k.needs_value then 'no value'
            when not t.number between coalesce(k.value_min, '-3e38'::real) and coalesce(k.value_max, '3e38'::real)
                then 'value out of range'
        end as reason
    from typed as t
    left join recsql.app_user as u on u.user_id = t.user_id
    left join recsql.item as m on m.item_id = t.item_id
    left join recsql.event_kind as k on k.kind = t.kind;
end;

comment on function recsql.classified_inbox(integer, double precision, text [], timestamptz) is
'The raw events of one load as they came, with their keys, typed values, and the first reason for which each cannot be used '
'(null: none).';
