-- recsql.refresh_similarity_jaccard: number of lists written.
create function recsql.refresh_similarity_jaccard(
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
        p_run_no, 'jaccard',
        recsql.counted_pairs('1:' || p_history, 'null', 'count(*)::double precision as n'),
        format('p.n / (i.n_users + n.n_users - p.n) * p.n / (p.n + %s)', p_shrinkage),
        p_history, p_neighbours, p_part, p_parts
    );
end;

comment on function recsql.refresh_similarity_jaccard(integer, real, integer, integer, integer, integer) is
'Users of both items divided by users of either, times n / (n + p_shrinkage) for n common users (Jaccard 1901). See '
'write_similarity.';
