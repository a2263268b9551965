-- recsql_api.record_event: whether the event is new.
create function recsql_api.record_event(
    p_user_id text,
    p_item_id text,
    p_kind text default 'view',
    p_value real default null,
    p_at timestamptz default now(),
    p_request_id uuid default null
)
returns boolean
language plpgsql
security definer
set search_path = recsql, pg_temp
as $$
declare
    v_kind event_kind;
    v_item_no integer := (select i.item_no from item as i where i.item_id = p_item_id);
    v_user_no integer;
begin
    select * into v_kind from event_kind as k where k.kind = p_kind;
    if not found then
        raise exception 'there is no kind of event %', coalesce(p_kind, 'null')
            using errcode = 'RS002',
            hint = (select 'Kinds are ' || string_agg(k.kind, ', ' order by k.kind_no) || '.' from event_kind as k);
    end if;
    if v_item_no is null then
        raise exception 'there is no item %', coalesce(p_item_id, 'null')
            using errcode = 'RS001', hint = 'Add it first with recsql_api.upsert_item.';
    end if;
    if not is_valid_id(p_user_id) then
        raise exception 'malformed user id'
            using errcode = 'RS002', hint = '1 to 200 characters, no control characters, not starting with a minus sign.';
    end if;
    if (p_value is null and v_kind.needs_value)
        or not p_value between coalesce(v_kind.value_min, '-3e38'::real) and coalesce(v_kind.value_max, '3e38'::real)
    then
        raise exception 'value % does not fit kind %', coalesce(p_value::text, 'null'), p_kind
            using errcode = 'RS002',
            hint = format('From %s to %s.', coalesce(v_kind.value_min::text, 'any'), coalesce(v_kind.value_max::text, 'any'));
    end if;
    if p_at is null or not p_at between '1970-01-01 00:00:00+00' and now() + interval '1 day' then
        raise exception 'time % is out of range', coalesce(p_at::text, 'null')
            using errcode = 'RS002', hint = 'From 1970 to tomorrow.';
    end if;
    insert into app_user (user_id) values (p_user_id) on conflict do nothing;
    select u.user_no into v_user_no from app_user as u where u.user_id = p_user_id;
    insert into event (user_no, item_no, kind_no, value, at, request_id)
    values (v_user_no, v_item_no, v_kind.kind_no, p_value, p_at, p_request_id)
    on conflict do nothing;
    return found;
end
$$;

comment on function recsql_api.record_event(text, text, text, real, timestamptz, uuid) is
'Records what a user did; the next recommend() takes it into account. p_user_id: an unknown user is added; p_item_id: of an '
'item that is there; p_kind: one of recsql.event_kind, as view, click, like, rating, purchase; p_value: within the range of '
'the kind (stars, seconds, price), null where the kind needs none; p_at: from 1970 to tomorrow; p_request_id: of the '
'recommend() that showed the item, for the event to be an outcome of it (outcome_rejected says where it is none, and why). Returns false where exactly this event was there already. Errors: RS001 unknown item, '
'RS002 unknown kind or value, time or id out of range.';
