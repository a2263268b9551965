-- recsql.refresh_similarity_cosine: number of rows written.
create function recsql.refresh_similarity_cosine(
    p_run_no integer, p_shrinkage real default 10, p_history integer default 100, p_neighbours integer default 200
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'cosine',
        format('p.dot / (i.norm * n.norm) * p.n_both / (p.n_both + %s)', p_shrinkage),
        p_history, p_neighbours
    );
end;

comment on function recsql.refresh_similarity_cosine(integer, real, integer, integer) is
'Item–item cosine over users'' weights, times n / (n + p_shrinkage) for n common users. See write_similarity.';
