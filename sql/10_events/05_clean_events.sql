-- recsql.clean_events: one row of counts; the load's partition of event_inbox is dropped.
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
    v_building text := 'event_load_' || p_load_no;
    v_year integer;
    v_years integer[] := '{}';
    v_first timestamptz;
    v_last timestamptz;
    v_clean bigint;
    v_rows bigint;
begin
    insert into domain (domain) values (p_domain) on conflict do nothing;
    -- Nobody else will before the rows are gone, and without it the planner takes them for a few.
    execute format('analyze recsql.%I (load_no, user_id, item_id)', 'event_inbox_' || p_load_no);

    create temporary table raw_user on commit drop as
    select i.user_id, count(*) as n_rows from event_inbox as i where i.load_no = p_load_no group by i.user_id;
    select coalesce(sum(u.n_rows), 0) into n_rows from pg_temp.raw_user as u;

    if p_max_per_minute > 0 then
        -- Few users have so many events in all; only theirs are counted by the minute.
        select coalesce(array_agg(distinct b.user_id), '{}') into v_bots
        from (
            select i.user_id
            from pg_temp.raw_user as u
            inner join event_inbox as i on i.load_no = p_load_no and i.user_id = u.user_id
            where u.n_rows > p_max_per_minute
            group by i.user_id, date_trunc('minute', parse_at(i.at, p_units_per_second))
            having count(*) > p_max_per_minute
        ) as b;
    end if;

    -- An id that is malformed never becomes a user or an item, so its events find none to join with below.
    -- In order, so that two loads of the same new ids wait for each other and do not deadlock.
    insert into app_user (user_id)
    select r.user_id
    from pg_temp.raw_user as r
    where
        not exists (select from app_user as u where u.user_id = r.user_id)
        and is_valid_id(r.user_id) and r.user_id <> all (v_bots)
    order by r.user_id
    on conflict do nothing;
    drop table pg_temp.raw_user;

    create temporary table raw_item on commit drop as
    select i.item_id from event_inbox as i where i.load_no = p_load_no group by i.item_id;
    insert into item (item_id, domain)
    select r.item_id, p_domain
    from pg_temp.raw_item as r
    where not exists (select from item as m where m.item_id = r.item_id) and is_valid_id(r.item_id)
    order by r.item_id
    on conflict do nothing;
    drop table pg_temp.raw_item;

    -- Years that are new are filled as tables of their own, since an index is made far faster than it is kept up.
    -- A sample finds all that are worth it; the rest goes where event has partitions by now.
    execute format(
        'create table recsql.%I (like recsql.event including defaults including constraints) partition by range (at)',
        v_building
    );
    execute format(
        'create unlogged table recsql.%I partition of recsql.%I default', v_building || '_rest', v_building
    );
    for v_year in
        select distinct extract(year from parse_at(i.at, p_units_per_second) at time zone 'UTC')::integer
        from event_inbox as i tablesample system (1) repeatable (0)
        where i.load_no = p_load_no and parse_at(i.at, p_units_per_second) is not null
        order by 1
    loop
        if new_event_year(v_year) is not null then
            execute format(
                'alter table recsql.%I attach partition recsql.event_%s %s', v_building, v_year, event_year_bound(v_year)
            );
            v_years := v_years || v_year;
        end if;
    end loop;

    execute format(
        $sql$
        insert into recsql.%I (event_no, user_no, item_no, kind_no, value, at, request_id, load_no)
        select r.inbox_no, r.user_no, r.item_no, r.kind_no, r.value, r.at, r.request_id, $1
        from recsql.classified_inbox($1, $2, $3, $4) as r
        where r.reason is null
        $sql$,
        v_building
    ) using p_load_no, p_units_per_second, v_bots, v_now;
    get diagnostics v_clean = row_count;
    n_events := v_clean;

    foreach v_year in array v_years loop
        execute format('alter table recsql.%I detach partition recsql.event_%s', v_building, v_year);
        n_events := n_events - attach_event_year(v_year);
    end loop;
    execute format('select count(*), min(at), max(at) from recsql.%I', v_building) into v_rows, v_first, v_last;
    if v_rows > 0 then
        perform add_event_partitions(v_first, v_last);
        n_events := n_events - v_rows;
        execute format('insert into recsql.event select e.* from recsql.%I as e on conflict do nothing', v_building);
        get diagnostics v_rows = row_count;
        n_events := n_events + v_rows;
    end if;
    execute format('drop table recsql.%I', v_building);

    -- Only now is it worth asking each row why: a clean file never pays for this.
    n_rejected := 0;
    if v_clean < n_rows then
        insert into event_rejected (load_no, line_no, user_id, item_id, kind, value, at, request_id, reason)
        select p_load_no, r.line_no, r.user_id, r.item_id, r.kind, r.raw_value, r.raw_at, r.raw_request_id, r.reason
        from classified_inbox(p_load_no, p_units_per_second, v_bots, v_now) as r
        where r.reason is not null
        order by r.inbox_no;
        get diagnostics n_rejected = row_count;
    end if;
    if n_events < v_clean then
        insert into event_rejected (load_no, line_no, user_id, item_id, kind, value, at, request_id, reason)
        select p_load_no, r.line_no, r.user_id, r.item_id, r.kind, r.raw_value, r.raw_at, r.raw_request_id,
            'duplicate of another row of this load'
        from classified_inbox(p_load_no, p_units_per_second, v_bots, v_now) as r
        inner join event as e
            on e.user_no = r.user_no and e.at = r.at and e.item_no = r.item_no and e.kind_no = r.kind_no
            and e.value is not distinct from r.value and e.load_no = p_load_no and e.event_no <> r.inbox_no
        where r.reason is null
        order by r.inbox_no;
        get diagnostics v_rows = row_count;
        n_rejected := n_rejected + v_rows;
    end if;
    n_present := n_rows - n_events - n_rejected;

    execute format('drop table recsql.%I', 'event_inbox_' || p_load_no);
end
$$;

comment on function recsql.clean_events(integer, double precision, integer, text) is
'Moves the raw events of one load into event, and those that cannot be used into event_rejected with their reason. '
'p_units_per_second: of numeric times, 1 for seconds, 1000 for milliseconds; p_max_per_minute: users with more events in '
'one minute are taken for bots and refused, 0 for no limit; p_domain: domain of items that are not known yet. '
'Returns rows read, events added, rows whose event was there already, rows refused.';
