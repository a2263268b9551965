-- recsql.refresh_similarity_cosine: number of rows written.
create function recsql.refresh_similarity_cosine(
    p_run_no integer, p_shrinkage real default 10, p_history integer default 100, p_neighbours integer default 200
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '512MB'
set hash_mem_multiplier = 1
-- The planner misjudges the self-join and would choose a memoized nested loop, three times slower.
set enable_nestloop = off
as $$
declare
    v_rows bigint;
begin
    delete from item_similarity where run_no = p_run_no and source_no = 3;
    insert into item_similarity (run_no, source_no, item_no, rank, neighbour_no, similarity)
    with recent as materialized (
        select i.user_no, i.item_no, i.weight
        from interaction as i
        where i.run_no = p_run_no and i.step < p_history
    ),

    norms as (
        select r.item_no, sqrt(sum(r.weight * r.weight)) as norm from recent as r group by r.item_no
    ),

    half as (
        select a.item_no, b.item_no as neighbour_no, sum(a.weight * b.weight) as dot, count(*) as n_users
        from recent as a
        inner join recent as b on b.user_no = a.user_no and b.item_no > a.item_no
        group by a.item_no, b.item_no
    ),

    weighted as (
        select
            h.item_no,
            h.neighbour_no,
            h.dot / (i.norm * n.norm) * h.n_users / (h.n_users + p_shrinkage) as similarity
        from half as h
        inner join norms as i on i.item_no = h.item_no
        inner join norms as n on n.item_no = h.neighbour_no
    ),

    ranked as (
        select
            s.item_no,
            s.neighbour_no,
            s.similarity,
            row_number() over (partition by s.item_no order by s.similarity desc, s.neighbour_no) as rank
        from (
            select item_no, neighbour_no, similarity from weighted
            union all
            select neighbour_no, item_no, similarity from weighted
        ) as s
    )

    select p_run_no, 3, r.item_no, r.rank, r.neighbour_no, r.similarity
    from ranked as r
    where r.rank <= p_neighbours
    order by r.item_no, r.rank;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_similarity_cosine(integer, real, integer, integer) is
'Item–item cosine over users'' weights, times n / (n + p_shrinkage) for n common users, from the newest p_history items of each '
'user. Keeps the p_neighbours strongest of each item, replaces the run''s earlier rows, returns their number.';
