-- recsql.drop_vector_index: idempotent.
create function recsql.drop_vector_index(p_set text)
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    execute format('drop index if exists recsql.%I', p_set || '_hnsw');
end
$$;

comment on function recsql.drop_vector_index(text) is
'Takes the HNSW index of a set away, so that many vectors can be copied in at once; add_vector_index makes it again, and until '
'then every search is exact.';
