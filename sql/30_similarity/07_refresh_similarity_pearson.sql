-- recsql.refresh_similarity_pearson: number of rows written.
create function recsql.refresh_similarity_pearson(
    p_run_no integer, p_shrinkage real default 10, p_history integer default 100, p_neighbours integer default 200
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'pearson',
        format(
            'p.rating_dot / nullif(sqrt(p.rating_square * p.rating_neighbour_square), 0) * p.n_both / (p.n_both + %s)',
            p_shrinkage
        ),
        p_history, p_neighbours
    );
end;

comment on function recsql.refresh_similarity_pearson(integer, real, integer, integer) is
'Correlation of the ratings of users who rated both items, each rating in standard deviations from its user''s mean, times '
'n / (n + p_shrinkage) for n common users (Resnick et al., CSCW 1994). See write_similarity.';
