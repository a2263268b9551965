-- recsql.refresh_similarity_conditional: number of lists written.
create function recsql.refresh_similarity_conditional(
    p_run_no integer,
    p_popularity_power real default 0.5,
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
        p_run_no, 'conditional',
        recsql.counted_pairs('1:' || p_history, 'null', 'count(*)::double precision as n'),
        format('p.n / (i.n_users + %s) / power(n.n_users, %s)', p_shrinkage, p_popularity_power),
        p_history, p_neighbours, p_part, p_parts
    );
end;

comment on function recsql.refresh_similarity_conditional(integer, real, real, integer, integer, integer, integer) is
'Share of the item''s users who also had the neighbour, P(neighbour | item), divided by users(neighbour) ^ p_popularity_power, '
'with p_shrinkage added to the item''s users (Karypis, CIKM 2001; Deshpande and Karypis, TOIS 2004). See write_similarity.';
