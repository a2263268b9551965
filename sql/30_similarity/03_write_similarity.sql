-- recsql.write_similarity: number of lists written.
create function recsql.write_similarity(
    p_run_no integer,
    p_source text,
    p_pairs text,
    p_formula text,
    p_history integer,
    p_neighbours integer,
    p_part integer default 0,
    p_parts integer default 1,
    p_scale text default '1'
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set max_parallel_workers_per_gather = 0
set work_mem = '64MB'
as $$
declare
    v_source_no smallint := (select s.source_no from source as s where s.source = p_source);
    v_n_users integer := (select count(*) from user_sequence where run_no = p_run_no);
    v_users real [];
    v_norms real [];
    v_item_nos integer [];
    v_rows bigint;
begin
    -- As arrays indexed by item_no, which a formula reads faster than it could join.
    with total as (
        select p.item_no, p.n_users, null::real as norm
        from item_popularity as p
        where p.run_no = p_run_no and p_history is null
        union all
        select i.item_no, count(*), sqrt(sum(i.weight * i.weight))
        from interaction as i
        where i.run_no = p_run_no and i.step < p_history
        group by i.item_no
    )

    select
        array_agg(coalesce(t.n_users, 0)::real order by n.item_no),
        array_agg(coalesce(t.norm, 0)::real order by n.item_no),
        array_agg(t.item_no order by t.item_no) filter (where t.item_no % p_parts = p_part)
    into v_users, v_norms, v_item_nos
    from generate_series(1, (select max(m.item_no) from total as m)) as n (item_no)
    left join total as t on t.item_no = n.item_no;

    delete from item_similarity where run_no = p_run_no and source_no = v_source_no and item_no % p_parts = p_part;
    execute format($sql$
        insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
        select $1, $2, i.item_no, r.neighbour_nos, r.similarities
        from (
            select
                u.item_no, ($4)[u.item_no]::double precision as n_users, ($5)[u.item_no]::double precision as norm
            from unnest($8) as u (item_no)
        ) as i
        cross join lateral (
            select array_agg(m.neighbour_no) as neighbour_nos, array_agg((m.strength * m.scale)::real) as similarities
            from (
                select p.neighbour_no, %2$s as strength, %3$s as scale
                from (%1$s) as p
                cross join lateral (
                    select ($4)[p.neighbour_no]::double precision as n_users, ($5)[p.neighbour_no]::double precision as norm
                ) as n
                cross join lateral (select $6::double precision as n_users) as t
                order by strength desc nulls last, p.neighbour_no
                limit $7
            ) as m
            where m.strength * m.scale > 0
        ) as r
        where r.neighbour_nos is not null
    $sql$, p_pairs, p_formula, p_scale)
    using
        p_run_no, v_source_no, coalesce(p_history, 2147483647), v_users, v_norms, v_n_users, p_neighbours, v_item_nos;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.write_similarity(integer, text, text, text, integer, integer, integer, integer, text) is
'Neighbours of items by one method: p_pairs is a query of what item i has in common with each neighbour_no (counted_pairs), '
'p_formula makes a strength, and p_scale of the same item''s strengths similarities, of its row p, of i and n (n_users and norm of the item and of the neighbour, from the newest '
'p_history items of each user; null: all) and of t (n_users in all). What is not above 0 is left out, the p_neighbours strongest '
'are kept. Only items with item_no % p_parts = p_part, so that several sessions share the work. '
'Replaces the run''s earlier lists of these items, returns their number.';
