-- recsql.refresh_similarity_cosine: number of lists written.
create function recsql.refresh_similarity_cosine(
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
        p_run_no, 'cosine',
        recsql.counted_pairs(
            '1:' || p_history,
            format('unnest(s.weights[1:%s]) as neighbour_weight', p_history),
            'count(*)::double precision as n, sum(x.weight * x.neighbour_weight)::double precision as dot'
        ),
        format('p.dot / (i.norm * n.norm) * p.n / (p.n + %s)', p_shrinkage),
        p_history, p_neighbours, p_part, p_parts
    );
end;

comment on function recsql.refresh_similarity_cosine(integer, real, integer, integer, integer, integer) is
'Item–item cosine over users'' weights, times n / (n + p_shrinkage) for n common users. See write_similarity.';
