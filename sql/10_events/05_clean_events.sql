-- recsql.clean_events: one row of counts; the load's partition of event_inbox is emptied.
create function recsql.clean_events(
    p_load_no integer,
    p_units_per_second double precision default 1,
    p_max_per_minute integer default 0,
    p_domain text default 'default',
    out n_rows bigint,
    out n_events bigint,
    out n_present bigint,
    out n_rejected bigint
)
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_now timestamptz := statement_timestamp();
    v_bots text[] := '{}';
    v_first timestamptz;
    v_last timestamptz;
begin
    insert into domain (domain) values (p_domain) on conflict do nothing;

    if p_max_per_minute > 0 then
        select coalesce(array_agg(distinct b.user_id), '{}') into v_bots
        from (
            select i.user_id
            from event_inbox as i
            where i.load_no = p_load_no
            group by i.user_id, date_trunc('minute', parse_at(i.at, p_units_per_second))
            having count(*) > p_max_per_minute
        ) as b;
    end if;

    -- An id that is malformed never becomes a user or an item, so its events find none to join with below.
    insert into app_user (user_id)
    select i.user_id
    from (
        select distinct i.user_id from event_inbox as i where i.load_no = p_load_no
        except select u.user_id from app_user as u
    ) as i
    where is_valid_id(i.user_id) and i.user_id <> all (v_bots)
    on conflict do nothing;

    insert into item (item_id, domain)
    select i.item_id, p_domain
    from (
        select distinct i.item_id from event_inbox as i where i.load_no = p_load_no
        except select t.item_id from item as t
    ) as i
    where is_valid_id(i.item_id)
    on conflict do nothing;

    select min(t.at), max(t.at) into v_first, v_last
    from (
        select coalesce(parse_at(i.at, p_units_per_second), case when i.at is null then v_now end) as at
        from event_inbox as i
        where i.load_no = p_load_no
    ) as t;
    if v_first is not null then
        perform add_event_partitions(v_first, v_last);
    end if;

    insert into event (event_no, user_no, item_no, kind_no, value, at, request_id, load_no)
    select r.inbox_no, r.user_no, r.item_no, r.kind_no, r.value, r.at, r.request_id, p_load_no
    from classified_inbox(p_load_no, p_units_per_second, v_bots, v_now) as r
    where r.reason is null
    on conflict do nothing;
    get diagnostics n_events = row_count;

    select count(*) into n_rows from event_inbox as i where i.load_no = p_load_no;
    n_present := 0;
    n_rejected := 0;
    if n_events < n_rows then
        -- Only now is it worth asking each row why: a clean file never pays for this.
        insert into event_rejected (load_no, line_no, user_id, item_id, kind, value, at, request_id, reason)
        select p_load_no, i.line_no, i.user_id, i.item_id, i.kind, i.value, i.at, i.request_id,
            coalesce(r.reason, 'duplicate of another row of this load')
        from event_inbox as i
        inner join classified_inbox(p_load_no, p_units_per_second, v_bots, v_now) as r using (inbox_no)
        where
            i.load_no = p_load_no
            and not exists (select from event as e where e.event_no = i.inbox_no and e.load_no = p_load_no)
            and (
                r.reason is not null
                or exists (
                    select from event as e
                    where
                        e.user_no = r.user_no and e.at = r.at and e.item_no = r.item_no and e.kind_no = r.kind_no
                        and e.value is not distinct from r.value and e.load_no = p_load_no
                )
            );
        get diagnostics n_rejected = row_count;
        n_present := n_rows - n_events - n_rejected;
    end if;

    execute format('drop table recsql.%I', 'event_inbox_' || p_load_no);
end
$$;

comment on function recsql.clean_events(integer, double precision, integer, text) is
'Moves the raw events of one load into event, and those that cannot be used into event_rejected with their reason. '
'p_units_per_second: of numeric times, 1 for seconds, 1000 for milliseconds; p_max_per_minute: users with more events in '
'one minute are taken for bots and refused, 0 for no limit; p_domain: domain of items that are not known yet. '
'Returns rows read, events added, rows whose event was there already, rows refused.';
