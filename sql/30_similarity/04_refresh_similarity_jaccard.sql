-- recsql.refresh_similarity_jaccard: number of rows written.
create function recsql.refresh_similarity_jaccard(
    p_run_no integer, p_shrinkage real default 10, p_history integer default 100, p_neighbours integer default 200
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'jaccard',
        format('p.n_both / (i.n_users + n.n_users - p.n_both) * p.n_both / (p.n_both + %s)', p_shrinkage),
        p_history, p_neighbours
    );
end;

comment on function recsql.refresh_similarity_jaccard(integer, real, integer, integer) is
'Users of both items divided by users of either, times n / (n + p_shrinkage) for n common users (Jaccard 1901). See '
'write_similarity.';
