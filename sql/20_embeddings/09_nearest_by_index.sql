-- recsql.nearest_by_index: nearest first; fewer rows than asked where the index gave up.
create function recsql.nearest_by_index(
    p_set text, p_vector vector, p_n integer, p_domain text, p_filter jsonb, p_exclude integer []
)
returns table (item_no integer, similarity double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 100
set hnsw.max_scan_tuples = 20000
-- Whatever the planner thinks of the filter: this is the way through the index.
set enable_sort = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set max_parallel_workers_per_gather = 0
as $$
declare
    v_set vector_set;
begin
    select * into v_set from vector_set as s where s.vector_set = p_set;
    -- The more there are, the more near ones a walk passes by: each doubling costs a share of recall that 30 more make good.
    perform set_config(
        'hnsw.ef_search',
        least(1000, greatest(100 + 30 * log(2, greatest(1, v_set.n_rows / 100000)::numeric), 2 * p_n))::integer::text, true
    );
    return query execute format(
        $sql$
            select n.item_no, %1$s - (n.embedding %2$s $1)
            from (
                select v.item_no, v.embedding
                from recsql.%3$I as v
                inner join recsql.item as i on i.item_no = v.item_no
                where
                    i.available and v.item_no <> all ($2)
                    and ($3 is null or i.domain = $3)
                    and ($4 = '{}' or i.attributes @> $4)
                order by v.embedding::%4$s(%5$s) %2$s $1::%4$s(%5$s)
                limit 2 * $5
            ) as n
            order by n.embedding %2$s $1, n.item_no
            limit $5
        $sql$,
        case v_set.measure when 'cosine' then 1 else 0 end, case v_set.measure when 'cosine' then '<=>' else '<#>' end,
        p_set, v_set.index_type, v_set.dim
    ) using p_vector, p_exclude, p_domain, p_filter, p_n;
end
$$;

comment on function recsql.nearest_by_index(text, vector, integer, text, jsonb, integer []) is
'The p_n nearest available items of a set through its HNSW index, which is scanned on until 2 p_n items match or 20,000 were '
'compared, and ranked by the full vectors; arguments and similarity as of nearest_items.';
