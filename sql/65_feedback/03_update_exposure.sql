-- recsql.update_exposure: number of impressions counted.
create function recsql.update_exposure(p_slot text, p_half_life interval default '1 day')
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    -- Whoever logged an impression has committed it by then: impressions have the time at which their transaction began. Who leaves one open for an
    -- hour is not waited for.
    v_until constant timestamptz := greatest(
        least(
            now() - interval '5 seconds',
            (
                select min(a.xact_start) - interval '1 microsecond' from pg_stat_activity as a
                where a.datname = current_database() and a.backend_xid is not null and a.pid <> pg_backend_pid()
            )
        ),
        now() - interval '1 hour'
    );
    v_from timestamptz;
    v_n_items bigint;
    v_rows bigint;
begin
    if not exists (select from release as r where r.slot = p_slot) then
        raise exception 'slot % serves nothing', coalesce(p_slot, 'null')
            using errcode = 'RS001', hint = 'recsql status shows what is served; recsql publish serves a run.';
    end if;
    if (p_half_life > interval '0') is not true then
        raise exception 'a half-life must be longer than nothing'
            using errcode = 'RS002', hint = 'By default it is a day: what was shown yesterday counts half.';
    end if;
    insert into exposure_ledger (slot) values (p_slot) on conflict do nothing;
    -- Of two updates the second waits, and counts what the first did not.
    select greatest(l.counted_until, v_until - least(20 * p_half_life, interval '100 years')) into v_from
    from exposure_ledger as l
    where l.slot = p_slot
    for update;
    if v_until <= v_from then
        return 0;
    end if;
    select count(*) into v_n_items from item as i where i.available;

    with shown as (
        select i.item_no, sum(faded(v_until - i.at, p_half_life) / log(2.0, i.position + 1)) as exposure, count(*) as n
        from impression as i
        left join request as q on q.request_id = i.request_id
        where
            i.at > v_from and i.at <= v_until and coalesce(q.slot, 'default') = p_slot
            and exists (select from item as o where o.item_no = i.item_no)
        group by i.item_no
    ),

    known as (
        select b.item_no, sum(b.exposure) as exposure, sum(sum(b.exposure)) over () / greatest(v_n_items, 1) as target
        from (
            select s.item_no, s.exposure from shown as s
            union all
            select p.item_no, p.exposure * faded(v_until - v_from, p_half_life)
            from exposure_price as p
            where p.slot = p_slot
        ) as b
        -- Where nothing was shown, nothing changes: what is faded then is faded later.
        where exists (select from shown)
        group by b.item_no
    ),

    priced as (
        select o.item_no, o.exposure, o.target, o.price
        from (
            select array_agg(k.item_no) as item_nos, array_agg(k.exposure) as exposures, array_agg(k.target) as targets
            from known as k
        ) as a
        cross join lateral unnest(
            a.item_nos, a.exposures, a.targets, exposure_prices(a.exposures, v_n_items)
        ) as o (item_no, exposure, target, price)
    ),

    written as (
        insert into exposure_price as p (slot, item_no, exposure, target, price)
        select p_slot, k.item_no, k.exposure, k.target, k.price
        from priced as k
        on conflict (slot, item_no) do update
            set exposure = excluded.exposure, target = excluded.target, price = excluded.price
    )

    select coalesce(sum(s.n), 0) into v_rows from shown as s;
    if v_rows > 0 then
        update exposure_ledger as l set counted_until = v_until where l.slot = p_slot;
        delete from exposure_price as p where p.slot = p_slot and p.exposure < 0.001;
    end if;
    return v_rows;
end
$$;

comment on function recsql.update_exposure(text, interval) is
'Brings a slot''s prices of exposure up to the impressions of up to five seconds ago (of what is being written by then, up to where that began): each adds 1 / log2(1 + position) to its item''s exposure, '
'which halves every p_half_life, and the prices follow from the exposures of all available items (exposure_prices). Impressions whose '
'request is not logged count for slot default. Where nothing was shown since, nothing changes. Returns how many impressions were counted. Errors: '
'RS001 the slot serves nothing, RS002 no half-life.';
