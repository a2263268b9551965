-- recsql.make_split: number of the split; the same events, of the same kinds, give the same split.
create function recsql.make_split(p_protocol text, p_part text, p_core integer default 5, p_share double precision default 0.8)
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_last bigint := (select coalesce(max(event_no), 0) from event);
    v_name text := format(
        '%s:%s(%s)@%s of %s', p_protocol, p_part, case p_protocol when 'loo' then p_core::text else p_share::text end, v_last,
        (select string_agg(k.kind, ',' order by k.kind) from event_kind as k where k.weight > 0)
    );
    v_split_no integer;
    v_cut timestamptz;
    v_until timestamptz;
begin
    if p_protocol not in ('loo', 'global') or p_part not in ('validation', 'test') then
        raise exception 'there is no split %:%', p_protocol, p_part
            using errcode = 'RS002', hint = 'Protocols are loo and global, parts are validation and test.';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('recsql.make_split ' || v_name, 0));
    select split_no into v_split_no from split where split = v_name;
    if found then
        return v_split_no;
    end if;
    insert into split (split, protocol, part, last_event_no)
    values (v_name, p_protocol, p_part, v_last)
    returning split_no into v_split_no;

    create temporary table core on commit drop as
    select e.user_no, e.item_no, e.at, e.event_no
    from recsql.event as e
    inner join recsql.event_kind as k on k.kind_no = e.kind_no and k.weight > 0
    where e.event_no <= v_last;

    if p_protocol = 'loo' then
        loop
            delete from pg_temp.core as c
            using (select item_no from pg_temp.core group by item_no having count(*) < p_core) as few
            where c.item_no = few.item_no;
            delete from pg_temp.core as c
            using (select user_no from pg_temp.core group by user_no having count(*) < p_core) as few
            where c.user_no = few.user_no;
            exit when not found and not exists (
                select from pg_temp.core group by item_no having count(*) < p_core
            );
        end loop;
        insert into split_cut (split_no, user_no, cut_at, cut_event_no, until_at, until_event_no)
        select v_split_no, o.user_no, o.previous_at, o.previous_event_no, o.at, o.event_no
        from (
            select c.user_no, c.at, c.event_no,
                lag(c.at) over by_time as previous_at,
                lag(c.event_no) over by_time as previous_event_no,
                row_number() over (partition by c.user_no order by c.at desc, c.event_no desc) as position
            from pg_temp.core as c
            window by_time as (partition by c.user_no order by c.at, c.event_no)
        ) as o
        where o.position = case p_part when 'test' then 1 else 2 end and o.previous_at is not null;
        insert into split_item (split_no, item_no)
        select distinct v_split_no, c.item_no from pg_temp.core as c;
    else
        select percentile_disc(p_share) within group (order by c.at) into v_cut from pg_temp.core as c;
        v_until := 'infinity';
        if p_part = 'validation' then
            v_until := v_cut;
            select percentile_disc(p_share) within group (order by c.at) into v_cut
            from pg_temp.core as c
            where c.at <= v_until;
        end if;
        insert into split_cut (split_no, user_no, cut_at, cut_event_no, until_at, until_event_no)
        select distinct v_split_no, c.user_no, v_cut, v_last, v_until, v_last
        from pg_temp.core as c
        where c.at <= v_until;
        insert into split_item (split_no, item_no)
        -- Availability is of today, the cut is not: what was withdrawn since could be had then.
        select v_split_no, i.item_no from item as i;
    end if;

    update split
    set
        n_users = (select count(*) from split_cut as c where c.split_no = v_split_no),
        n_items = (select count(*) from split_item as i where i.split_no = v_split_no),
        n_events = (select count(*) from pg_temp.core)
    where split_no = v_split_no;
    drop table pg_temp.core;
    return v_split_no;
end
$$;

comment on function recsql.make_split(text, text, integer, double precision) is
'Makes the cuts of an offline protocol and returns the split''s number. loo: events of a p_core-core (repeated until stable), '
'each user''s last event for test, the last but one for validation. global: one moment for everybody, p_share of the events '
'before it; validation repeats that inside the first part.';
