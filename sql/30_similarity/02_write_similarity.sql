-- recsql.write_similarity: number of items that have neighbours.
create function recsql.write_similarity(
    p_run_no integer, p_source text, p_formula text, p_history integer, p_neighbours integer
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '512MB'
set hash_mem_multiplier = 1
-- The planner misjudges the self-join and would choose a memoized nested loop that never hits.
set enable_nestloop = off
as $$
declare
    v_source_no smallint := (select s.source_no from source as s where s.source = p_source);
    v_rows bigint;
begin
    delete from item_similarity where run_no = p_run_no and source_no = v_source_no;
    execute format($sql$
        insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
        with recent as materialized (
            select i.user_no, i.item_no, i.weight, i.rating
            from recsql.interaction as i
            where i.run_no = $1 and i.step < $2
        ),

        totals as (
            select r.item_no, count(*)::double precision as n_users, sqrt(sum(r.weight * r.weight)) as norm
            from recent as r
            group by r.item_no
        ),

        half as (
            select
                a.item_no,
                b.item_no as neighbour_no,
                count(*)::double precision as n_both,
                sum(a.weight * b.weight) as dot,
                sum(a.rating * b.rating) as rating_dot,
                sum(a.rating * a.rating) filter (where b.rating is not null) as rating_square,
                sum(b.rating * b.rating) filter (where a.rating is not null) as rating_neighbour_square
            from recent as a
            inner join recent as b on b.user_no = a.user_no and b.item_no > a.item_no
            group by a.item_no, b.item_no
        ),

        pair as (
            select h.* from half as h
            union all
            select h.neighbour_no, h.item_no, h.n_both, h.dot, h.rating_dot, h.rating_neighbour_square, h.rating_square
            from half as h
        ),

        measured as (
            select p.item_no, p.neighbour_no, (%s)::real as similarity
            from pair as p
            inner join totals as i on i.item_no = p.item_no
            inner join totals as n on n.item_no = p.neighbour_no
            cross join (select count(distinct r.user_no)::double precision as n_users from recent as r) as t
        ),

        ranked as (
            select
                m.item_no,
                m.neighbour_no,
                m.similarity,
                row_number() over (partition by m.item_no order by m.similarity desc, m.neighbour_no) as rank
            from measured as m
            where m.similarity > 0
        )

        select $1, $3, r.item_no, array_agg(r.neighbour_no order by r.rank), array_agg(r.similarity order by r.rank)
        from ranked as r
        where r.rank <= $4
        group by r.item_no
    $sql$, p_formula) using p_run_no, p_history, v_source_no, p_neighbours;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.write_similarity(integer, text, text, integer, integer) is
'Item similarities by a formula over what two items have in common, from the newest p_history items of each user; negative ones '
'are left out, and of each item the p_neighbours strongest are kept. The formula reads p (n_both users, dot of weights, '
'rating_dot, rating_square, rating_neighbour_square over users who rated both), i and n (n_users and norm of the item and of the '
'neighbour) and t (n_users in all). Replaces the run''s earlier rows, returns the number of items that have neighbours.';
