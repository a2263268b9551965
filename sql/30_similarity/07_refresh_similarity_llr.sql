-- recsql.refresh_similarity_llr: number of lists written.
create function recsql.refresh_similarity_llr(
    p_run_no integer,
    p_history integer default 100,
    p_neighbours integer default 200,
    p_part integer default 0,
    p_parts integer default 1
)
returns bigint
language sql
begin atomic
    select recsql.write_similarity(
        p_run_no, 'llr',
        recsql.counted_pairs('1:' || p_history, 'null', 'count(*)::double precision as n'),
        'case when p.n * t.n_users > i.n_users * n.n_users then 2 * ('
        || 'recsql.x_log_x(p.n) + recsql.x_log_x(i.n_users - p.n) + recsql.x_log_x(n.n_users - p.n) '
        || '+ recsql.x_log_x(t.n_users - i.n_users - n.n_users + p.n) + recsql.x_log_x(t.n_users) '
        || '- recsql.x_log_x(i.n_users) - recsql.x_log_x(t.n_users - i.n_users) '
        || '- recsql.x_log_x(n.n_users) - recsql.x_log_x(t.n_users - n.n_users)) end',
        p_history, p_neighbours, p_part, p_parts
    );
end;

comment on function recsql.refresh_similarity_llr(integer, integer, integer, integer, integer) is
'Log-likelihood ratio of having both items against having them independently, from the 2 × 2 table of users, for pairs that occur '
'together more often than chance would have it (Dunning, Computational Linguistics 1993). See write_similarity.';
