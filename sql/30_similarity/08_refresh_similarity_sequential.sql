-- recsql.refresh_similarity_sequential: number of items that have neighbours.
create function recsql.refresh_similarity_sequential(
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
set work_mem = '512MB'
set hash_mem_multiplier = 1
as $$
declare
    v_rows bigint;
begin
    delete from item_similarity where run_no = p_run_no and source_no = 1;
    -- The frame may be as long as p_window and no longer, which a window clause takes only as a constant.
    execute format($sql$
        insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
        with followed as (
            select
                i.item_no,
                array_agg(i.item_no) over (
                    partition by i.user_no order by i.step desc rows between 1 following and %s following
                ) as next_item_nos
            from recsql.interaction as i
            where i.run_no = $1 and i.step is not null
        ),

        forward as (
            select f.item_no, n.item_no as next_no, sum(1.0::real / n.gap) as weight
            from followed as f
            cross join lateral unnest(f.next_item_nos) with ordinality as n (item_no, gap)
            group by f.item_no, n.item_no
        ),

        both_ways as (
            select c.item_no, c.neighbour_no, sum(c.weight) as weight
            from (
                select f.item_no, f.next_no as neighbour_no, f.weight from forward as f
                union all
                select f.next_no, f.item_no, f.weight * $2 from forward as f where $2 > 0
            ) as c
            where c.item_no <> c.neighbour_no
            group by c.item_no, c.neighbour_no
        ),

        totals as (
            select b.item_no, sum(b.weight) as weight from both_ways as b group by b.item_no
        ),

        weighted as (
            select
                b.item_no,
                b.neighbour_no,
                (b.weight / (t.weight + $3) / power(p.n_users, $4))::real as similarity
            from both_ways as b
            inner join totals as t on t.item_no = b.item_no
            inner join recsql.item_popularity as p on p.run_no = $1 and p.item_no = b.neighbour_no
        ),

        ranked as (
            select
                w.item_no,
                w.neighbour_no,
                w.similarity,
                row_number() over (partition by w.item_no order by w.similarity desc, w.neighbour_no) as rank
            from weighted as w
        )

        select $1, 1, r.item_no, array_agg(r.neighbour_no order by r.rank), array_agg(r.similarity order by r.rank)
        from ranked as r
        where r.rank <= $5
        group by r.item_no
    $sql$, p_window) using p_run_no, p_reverse, p_shrinkage, p_popularity_power, p_neighbours;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_similarity_sequential(integer, integer, real, real, real, integer) is
'Ordered co-occurrence: c(i, j) sums 1/gap over all pairs in which j followed i within p_window steps, plus p_reverse of the '
'other direction; similarity(i, j) = c(i, j) / (sum over j of c(i, j) + p_shrinkage) / users(j) ^ p_popularity_power. Keeps the '
'p_neighbours strongest of each item, replaces the run''s earlier rows, returns the number of items that have neighbours.';
