-- recsql.vector_index_definition: the statement that makes the HNSW index of a set.
create function recsql.vector_index_definition(p_set text, p_index text, p_concurrently boolean default false)
returns text
language sql
stable
begin atomic
    select format(
        'create index %s %I on recsql.%I using hnsw ((embedding::halfvec(%s)) halfvec_%s_ops)',
        case when p_concurrently then 'concurrently' else '' end, p_index, s.vector_set, s.dim, s.measure
    )
    from recsql.vector_set as s
    where s.vector_set = p_set;
end;

comment on function recsql.vector_index_definition(text, text, boolean) is
'The statement that makes a set''s HNSW index under a name, which alone decides of what kind these indexes are: over half '
'precision (docs/decisions/vector-search.md). Null where there is no such set.';
