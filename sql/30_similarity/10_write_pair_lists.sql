-- recsql.write_pair_lists: number of lists written.
create function recsql.write_pair_lists(p_run_no integer, p_source_no smallint, p_items text, p_pairs text)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_config jsonb := (
        select s.config from pair_state as s where s.run_no = p_run_no and s.source_no = p_source_no
    );
    v_users real [];
    v_rows bigint;
begin
    -- As an array indexed by item_no, which is read faster than a join.
    select array_agg(coalesce(p.n_users, 0)::real order by n.item_no) into v_users
    from generate_series(1, (select max(m.item_no) from item_popularity as m where m.run_no = p_run_no)) as n (item_no)
    left join item_popularity as p on p.run_no = p_run_no and p.item_no = n.item_no;
    execute format(
        $sql$
        with fresh as materialized (
            select i.item_no, i.total, r.neighbour_nos, r.ns, r.similarities
            from (%1$s) as i
            cross join lateral (
                select
                    coalesce(array_agg(m.neighbour_no), '{}') as neighbour_nos,
                    coalesce(array_agg(m.n::bigint), '{}') as ns,
                    array_agg((m.strength * m.scale)::real) as similarities
                from (
                    select p.neighbour_no, p.n, recsql.ordered_strength(p.n, ($3)[p.neighbour_no], $4) as strength,
                        recsql.ordered_scale(i.total, $5) as scale
                    from (%2$s) as p
                    where p.n > 0
                    order by strength desc, p.neighbour_no
                    limit $6
                ) as m
            ) as r
        ),

        kept as (
            insert into recsql.pair_list (run_no, source_no, item_no, total, neighbour_nos, ns)
            select $1, $2, f.item_no, f.total, f.neighbour_nos, f.ns from fresh as f
            on conflict (run_no, source_no, item_no) do update
                set total = excluded.total, neighbour_nos = excluded.neighbour_nos, ns = excluded.ns
        ),

        emptied as (
            delete from recsql.item_similarity as o
            using fresh as f
            where o.run_no = $1 and o.source_no = $2 and o.item_no = f.item_no and f.similarities is null
        )

        insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
        select $1, $2, f.item_no, f.neighbour_nos, f.similarities from fresh as f where f.similarities is not null
        on conflict (run_no, source_no, item_no) do update
            set neighbour_nos = excluded.neighbour_nos, similarities = excluded.similarities
        $sql$,
        p_items, p_pairs
    ) using
        p_run_no, p_source_no, v_users, (v_config ->> 'popularity_power')::double precision,
        (v_config ->> 'shrinkage')::double precision, (v_config ->> 'neighbours')::integer;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.write_pair_lists(integer, smallint, text, text) is
'Lists of items from counts that are kept: p_items is a query of item_no and total, the sum of all that the item has, p_pairs one '
'of the neighbour_no and n that may be in the list of such an item i. Writes pair_list, and item_similarity as '
'refresh_similarity_sequential would. Returns the number of lists that are not empty.';
