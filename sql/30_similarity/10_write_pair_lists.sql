-- recsql.write_pair_lists: number of lists written.
create function recsql.write_pair_lists(
    p_run_no integer, p_source_no smallint, p_item_nos integer [], p_pairs text, p_total text
)
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
        insert into recsql.pair_list as o (run_no, source_no, item_no, total, neighbour_nos, ns)
        select $1, $2, i.item_no, %2$s, coalesce(r.neighbour_nos, '{}'), coalesce(r.ns, '{}')
        from unnest($3) as i (item_no)
        cross join lateral (
            select array_agg(m.neighbour_no) as neighbour_nos, array_agg(m.n) as ns
            from (
                select p.neighbour_no, p.n
                from (%1$s) as p
                where p.n > 0
                order by recsql.ordered_strength(p.n, ($4)[p.neighbour_no], $5) desc, p.neighbour_no
                limit $6
            ) as m
        ) as r
        on conflict (run_no, source_no, item_no) do update
            set total = excluded.total, neighbour_nos = excluded.neighbour_nos, ns = excluded.ns
        $sql$,
        p_pairs, p_total
    ) using
        p_run_no, p_source_no, p_item_nos, v_users, (v_config ->> 'popularity_power')::double precision,
        (v_config ->> 'neighbours')::integer;
    delete from item_similarity
    where run_no = p_run_no and source_no = p_source_no and item_no = any(p_item_nos);
    insert into item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
    select p_run_no, p_source_no, l.item_no, l.neighbour_nos, s.similarities
    from unnest(p_item_nos) as i (item_no)
    inner join pair_list as l on l.run_no = p_run_no and l.source_no = p_source_no and l.item_no = i.item_no
    cross join lateral (
        select
            array_agg(
                (
                    ordered_strength(
                        n.n, v_users[n.neighbour_no], (v_config ->> 'popularity_power')::double precision
                    ) * ordered_scale(l.total, (v_config ->> 'shrinkage')::double precision)
                )::real order by n.place
            ) as similarities
        from unnest(l.neighbour_nos, l.ns) with ordinality as n (neighbour_no, n, place)
    ) as s
    where l.neighbour_nos <> '{}';
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.write_pair_lists(integer, smallint, integer [], text, text) is
'Lists of items from counts that are kept: p_pairs is a query of the neighbour_no and n that may be in the list of item i, p_total an '
'expression for the sum of all that the item has. Writes pair_list, and item_similarity from it as refresh_similarity_sequential '
'would. Returns the number of lists that are not empty.';
