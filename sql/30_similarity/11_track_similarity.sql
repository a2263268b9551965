-- recsql.track_similarity: number of pairs counted.
create function recsql.track_similarity(
    p_run_no integer,
    p_window integer default 30,
    p_reverse real default 0.4,
    p_shrinkage real default 20,
    p_popularity_power real default 0.3,
    p_neighbours integer default 200
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set max_parallel_workers_per_gather = 0
set work_mem = '64MB'
as $$
declare
    v_source_no smallint := (select s.source_no from source as s where s.source = 'sequential');
    v_partition text := add_list_partition('pair_count', p_run_no);
    v_rows bigint;
begin
    insert into pair_state (run_no, source_no, snapshot, config)
    values (
        p_run_no, v_source_no, (select r.snapshot from run as r where r.run_no = p_run_no),
        jsonb_build_object(
            'window', p_window, 'reverse', p_reverse, 'shrinkage', p_shrinkage, 'popularity_power', p_popularity_power,
            'neighbours', p_neighbours
        )
    )
    on conflict (run_no, source_no) do update
        set snapshot = excluded.snapshot, config = excluded.config, updated_at = clock_timestamp();
    execute format('truncate recsql.%I', add_list_partition('pair_sequence', p_run_no));
    insert into pair_sequence (run_no, source_no, user_no, item_nos)
    select p_run_no, v_source_no, s.user_no, s.item_nos
    from user_sequence as s
    where s.run_no = p_run_no;
    execute format('truncate recsql.%I', v_partition);
    execute format(
        $sql$
        insert into recsql.pair_count (run_no, source_no, item_no, neighbour_no, n)
        select $1, $2, i.item_no, p.neighbour_no, p.n
        from (
            select distinct h.item_no from recsql.interaction as h where h.run_no = $1 and h.step < $3
        ) as i
        cross join lateral (%s) as p
        where p.n > 0
        order by i.item_no, p.neighbour_no
        $sql$,
        ordered_pairs(p_window, p_reverse, 'sum(x.near) as n')
    ) using p_run_no, v_source_no, 2147483647;
    get diagnostics v_rows = row_count;
    execute format('analyze recsql.%I', v_partition);
    execute format('truncate recsql.%I', add_list_partition('pair_list', p_run_no));
    perform write_pair_lists(
        p_run_no, v_source_no,
        'select c.item_no, sum(c.n)::bigint as total from recsql.pair_count as c '
        'where c.run_no = $1 and c.source_no = $2 group by c.item_no',
        'select c.neighbour_no, c.n from recsql.pair_count as c '
        'where c.run_no = $1 and c.source_no = $2 and c.item_no = i.item_no'
    );
    return v_rows;
end
$$;

comment on function recsql.track_similarity(integer, integer, real, real, real, integer) is
'Counts the pairs of the sequential similarity of a run and keeps the counts, so that update_similarity can follow new events; '
'writes the same lists as refresh_similarity_sequential. Parameters are those of refresh_similarity_sequential. Replaces the run''s earlier counts, returns their number.';
