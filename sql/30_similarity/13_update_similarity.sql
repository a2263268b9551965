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

    create temporary table item_change on commit drop as
    -- Not as a table, which would compress the arrays.
    with changed as materialized (
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
        ) as c
    ),

    kept as (
        insert into pair_sequence (run_no, source_no, user_no, item_nos)
        select p_run_no, v_state.source_no, c.user_no, c.new_nos from changed as c
        on conflict (run_no, source_no, user_no) do update set item_nos = excluded.item_nos
    ),

    step as (
        select o.*, -1 as sign
        from changed as c
        cross join lateral changed_pair(c.old_nos, c.old_head, c.old_tail, v_ahead, v_back) as o
        union all
        select n.*, 1
        from changed as c
        cross join lateral changed_pair(c.new_nos, c.new_head, 0, v_ahead, v_back) as n
    ),

    pair_change as (
        select d.item_no, d.neighbour_no, sum(d.n)::bigint as n
        from (
            select unnest(array[p.item_no, p.next_no]) as item_no, unnest(array[p.next_no, p.item_no]) as neighbour_no,
                unnest(array[p.sign * p.ahead, p.sign * p.back]) as n
            from step as p
        ) as d
        group by d.item_no, d.neighbour_no
        having sum(d.n) <> 0
        order by d.item_no, d.neighbour_no
    )

    select
        s.item_no,
        coalesce(l.total, 0) + s.n as total,
        s.neighbour_nos,
        s.ns,
        coalesce(l.neighbour_nos, '{}') as listed_nos,
        coalesce(l.ns, '{}') as listed_ns
    from (
        select c.item_no, sum(c.n)::bigint as n, array_agg(c.neighbour_no) as neighbour_nos, array_agg(c.n) as ns
        from pair_change as c
        group by c.item_no
    ) as s
    left join pair_list as l on l.run_no = p_run_no and l.source_no = v_state.source_no and l.item_no = s.item_no;

    -- What was not in a list and has not changed stays behind the list's last, so it need not be read …
    perform write_pair_lists(
        p_run_no, v_state.source_no, 'select c.* from pg_temp.item_change as c',
        $sql$
            select q.neighbour_no, sum(q.n) as n
            from (
                select unnest(i.listed_nos) as neighbour_no, unnest(i.listed_ns)::double precision as n
                union all
                select unnest(i.neighbour_nos), unnest(i.ns)
                union all
                select c.neighbour_no, c.n
                from recsql.pair_count as c
                where
                    c.run_no = $1 and c.source_no = $2 and c.item_no = i.item_no and c.neighbour_no = any(i.neighbour_nos)
                    and c.neighbour_no not in (select unnest(i.listed_nos))
            ) as q
            group by q.neighbour_no
        $sql$
    );
    insert into pair_count (run_no, source_no, item_no, neighbour_no, n)
    select p_run_no, v_state.source_no, c.item_no, unnest(c.neighbour_nos), unnest(c.ns) from pg_temp.item_change as c;
    get diagnostics v_rows = row_count;
    -- … unless the list has come to end behind that place, by counts that fell.
    perform write_pair_lists(
        p_run_no, v_state.source_no,
        format(
            $sql$
            select c.item_no, c.total
            from pg_temp.item_change as c
            inner join recsql.pair_list as l on l.run_no = $1 and l.source_no = $2 and l.item_no = c.item_no
            cross join lateral (
                select c.listed_nos[%1$s] as was_no, c.listed_ns[%1$s] as was_n, l.neighbour_nos[%1$s] as is_no, l.ns[%1$s] as is_n
            ) as e
            where
                e.was_no is not null
                and (
                    e.is_no is null
                    or (-recsql.ordered_strength(e.is_n, ($3)[e.is_no], $4), e.is_no)
                    > (-recsql.ordered_strength(e.was_n, ($3)[e.was_no], $4), e.was_no)
                )
            $sql$,
            v_state.config ->> 'neighbours'
        ),
        'select c.neighbour_no, sum(c.n::double precision) as n from recsql.pair_count as c '
        'where c.run_no = $1 and c.source_no = $2 and c.item_no = i.item_no group by c.neighbour_no'
    );
    update pair_state set snapshot = v_snapshot, updated_at = clock_timestamp()
    where run_no = p_run_no and source_no = v_state.source_no;
    drop table pg_temp.item_change;
    return v_rows;
end
$$;

comment on function recsql.update_similarity(integer) is
'Brings the sequential similarities of a run up to the newest event: only the pairs that the new events touch are counted anew, '
'and only the lists of their items written. Ends at what refresh_similarity_sequential gives for the same events, with '
'the run''s popularity of items. In one transaction, so that readers see all or nothing; simultaneous updates wait for each other. '
'Returns the number of pairs.';
