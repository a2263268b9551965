-- recsql.update_similarity: number of pairs whose count changed.
create function recsql.update_similarity(p_run_no integer)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set max_parallel_workers_per_gather = 0
set work_mem = '64MB'
as $$
declare
    v_state pair_state;
    v_snapshot pg_snapshot := pg_current_snapshot();
    v_window integer;
    v_weights integer [];
    v_ahead integer [];
    v_back integer [];
    v_total constant text :=
        'coalesce((select l.total from recsql.pair_list as l '
        'where l.run_no = $1 and l.source_no = $2 and l.item_no = i.item_no), 0) '
        '+ (select c.n from pg_temp.total_change as c where c.item_no = i.item_no)';
    v_rows bigint;
begin
    select t.* into v_state
    from pair_state as t
    inner join source as s on s.source_no = t.source_no and s.source = 'sequential'
    where t.run_no = p_run_no
    for update of t;
    if not found then
        raise exception 'similarities of run % do not follow new events', p_run_no
            using errcode = 'RS001', hint = 'Have its pairs counted first: select recsql.track_similarity(run_no).';
    end if;
    v_window := (v_state.config ->> 'window')::integer;
    v_weights := gap_weights(v_window, (v_state.config ->> 'reverse')::real);
    v_ahead := array(select v_weights[v_window + 1 - g.gap] from generate_series(1, v_window) as g (gap));
    v_back := v_weights[v_window + 2 :];

    create temporary table changed on commit drop as
    select
        c.*,
        case when c.is_on_top then c.n_new else cardinality(c.new_nos) - c.n_same end as new_head,
        case when c.is_on_top then 0 else cardinality(c.old_nos) - c.n_same end as old_head,
        case when c.is_on_top then cardinality(c.old_nos) + c.n_new - cardinality(c.new_nos) else 0 end as old_tail
    from (
        select
            n.user_no,
            coalesce(o.item_nos, '{}') as old_nos,
            n.item_nos as new_nos,
            array_position(n.item_nos, o.item_nos[1]) - 1 as n_new,
            -- Mostly the new items have just come on top, and the oldest may have fallen out at the end.
            n.item_nos[array_position(n.item_nos, o.item_nos[1]) :]
            = o.item_nos[: cardinality(n.item_nos) - array_position(n.item_nos, o.item_nos[1]) + 1] as is_on_top,
            common_tail(coalesce(o.item_nos, '{}'), n.item_nos) as n_same
        from current_sequence(
            array(
                select distinct u.user_no from user_change as u
                where
                    u.noted_in >= pg_snapshot_xmin(v_state.snapshot)
                    and not pg_visible_in_snapshot(u.noted_in, v_state.snapshot)
            )
        ) as n
        left join pair_sequence as o
            on o.run_no = p_run_no and o.source_no = v_state.source_no and o.user_no = n.user_no
        where o.item_nos is distinct from n.item_nos
    ) as c;

    create temporary table pair_change on commit drop as
    with ordered as materialized (
        select p.item_no, p.next_no, sum(p.sign * p.ahead) as ahead, sum(p.sign * p.back) as back
        from (
            select o.*, -1 as sign
            from pg_temp.changed as c
            cross join lateral changed_pair(c.old_nos, c.old_head, c.old_tail, v_ahead, v_back) as o
            union all
            select n.*, 1
            from pg_temp.changed as c
            cross join lateral changed_pair(c.new_nos, c.new_head, 0, v_ahead, v_back) as n
        ) as p
        group by p.item_no, p.next_no
    )

    select d.item_no, d.neighbour_no, sum(d.n)::bigint as n
    from (
        select o.item_no, o.next_no as neighbour_no, o.ahead as n from ordered as o where o.ahead <> 0
        union all
        select o.next_no, o.item_no, o.back from ordered as o where o.back <> 0
    ) as d
    group by d.item_no, d.neighbour_no
    having sum(d.n) <> 0;
    get diagnostics v_rows = row_count;

    create temporary table pair_now (
        item_no integer, neighbour_no integer, n bigint, primary key (item_no, neighbour_no)
    ) on commit drop;
    with counted as (
        insert into pair_count as p (run_no, source_no, item_no, neighbour_no, n)
        select p_run_no, v_state.source_no, c.item_no, c.neighbour_no, c.n
        from pg_temp.pair_change as c
        order by c.item_no, c.neighbour_no
        on conflict (run_no, source_no, item_no, neighbour_no) do update set n = p.n + excluded.n
        returning p.item_no, p.neighbour_no, p.n
    )

    insert into pg_temp.pair_now (item_no, neighbour_no, n) select c.item_no, c.neighbour_no, c.n from counted as c;
    delete from pair_count as p
    using pg_temp.pair_change as c
    where
        p.run_no = p_run_no and p.source_no = v_state.source_no and p.item_no = c.item_no
        and p.neighbour_no = c.neighbour_no and c.n < 0 and p.n = 0;

    insert into pair_sequence (run_no, source_no, user_no, item_nos)
    select p_run_no, v_state.source_no, c.user_no, c.new_nos from pg_temp.changed as c
    on conflict (run_no, source_no, user_no) do update set item_nos = excluded.item_nos;

    create temporary table total_change on commit drop as
    select c.item_no, sum(c.n)::bigint as n, min(c.n) < 0 as is_falling from pg_temp.pair_change as c group by c.item_no;
    alter table pg_temp.total_change add primary key (item_no);
    -- Where no count falls, what was not in a list can enter it only by having changed.
    perform write_pair_lists(
        p_run_no, v_state.source_no, array(select c.item_no from pg_temp.total_change as c where not c.is_falling),
        'select coalesce(c.neighbour_no, p.neighbour_no) as neighbour_no, coalesce(c.n, p.n) as n from ('
        'select e.neighbour_no, e.n from recsql.pair_list as l '
        'cross join lateral unnest(l.neighbour_nos, l.ns) as e (neighbour_no, n) '
        'where l.run_no = $1 and l.source_no = $2 and l.item_no = i.item_no) as p '
        'full join (select h.neighbour_no, h.n from pg_temp.pair_now as h where h.item_no = i.item_no) as c '
        'on c.neighbour_no = p.neighbour_no',
        v_total
    );
    perform write_pair_lists(
        p_run_no, v_state.source_no, array(select c.item_no from pg_temp.total_change as c where c.is_falling),
        'select c.neighbour_no, c.n from recsql.pair_count as c '
        'where c.run_no = $1 and c.source_no = $2 and c.item_no = i.item_no',
        v_total
    );
    update pair_state set snapshot = v_snapshot, updated_at = clock_timestamp()
    where run_no = p_run_no and source_no = v_state.source_no;
    drop table pg_temp.changed, pg_temp.pair_change, pg_temp.pair_now, pg_temp.total_change;
    return v_rows;
end
$$;

comment on function recsql.update_similarity(integer) is
'Brings the sequential similarities of a run up to the newest event: only the pairs that the new events touch are counted anew, '
'and only the lists of their items written. Ends at what refresh_similarity_sequential gives for the same events, with '
'the run''s popularity of items. In one transaction, so that readers see all or nothing; simultaneous updates wait for each other. '
'Returns the number of pairs.';
