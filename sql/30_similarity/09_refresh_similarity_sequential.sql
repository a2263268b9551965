-- recsql.refresh_similarity_sequential: number of lists written.
create function recsql.refresh_similarity_sequential(
    p_run_no integer,
    p_window integer default 30,
    p_reverse real default 0.4,
    p_shrinkage real default 20,
    p_popularity_power real default 0.3,
    p_neighbours integer default 200,
    p_part integer default 0,
    p_parts integer default 1
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'sequential',
        recsql.ordered_pairs(
            p_window, p_reverse, 'sum(x.near)::double precision as n, sum(sum(x.near)::double precision) over () as total'
        ),
        format('recsql.ordered_strength(p.n, n.n_users, %s)', p_popularity_power),
        null, p_neighbours, p_part, p_parts,
        format('recsql.ordered_scale(p.total, %s)', p_shrinkage)
    );
end;

comment on function recsql.refresh_similarity_sequential(
    integer, integer, real, real, real, integer, integer, integer
) is
'Ordered co-occurrence: c(i, j) sums 1/gap over all pairs in which j followed i within p_window steps, plus p_reverse of the '
'other direction; similarity(i, j) = c(i, j) / (sum over j of c(i, j) + p_shrinkage) / users(j) ^ p_popularity_power. See '
'write_similarity.';
