-- recsql.refresh_similarity_pearson: number of lists written.
create function recsql.refresh_similarity_pearson(
    p_run_no integer,
    p_shrinkage real default 10,
    p_history integer default 100,
    p_neighbours integer default 200,
    p_part integer default 0,
    p_parts integer default 1
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'pearson',
        recsql.counted_pairs(
            '1:' || p_history,
            format('unnest(s.ratings[1:%s]) as neighbour_rating', p_history),
            'count(*)::double precision as n, '
            || 'sum(x.rating * x.neighbour_rating)::double precision as dot, '
            || 'sum(x.rating * x.rating) filter (where x.neighbour_rating is not null)::double precision as square, '
            || 'sum(x.neighbour_rating * x.neighbour_rating) filter (where x.rating is not null)::double precision '
            || 'as neighbour_square'
        ),
        format('p.dot / nullif(sqrt(p.square * p.neighbour_square), 0) * p.n / (p.n + %s)', p_shrinkage),
        p_history, p_neighbours, p_part, p_parts
    );
end;

comment on function recsql.refresh_similarity_pearson(integer, real, integer, integer, integer, integer) is
'Correlation of the ratings of users who rated both items, each rating in standard deviations from its user''s mean, times '
'n / (n + p_shrinkage) for n common users (Resnick et al., CSCW 1994). See write_similarity.';
