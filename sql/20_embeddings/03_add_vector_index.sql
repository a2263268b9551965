-- recsql.add_vector_index: idempotent.
create function recsql.add_vector_index(p_set text)
returns void
language plpgsql
set search_path = recsql, public, pg_temp
as $$
begin
    if not exists (select from vector_set as s where s.vector_set = p_set) then
        raise exception 'there is no set of vectors %', p_set
            using errcode = 'RS001', hint = 'recsql.vector_set lists them.';
    end if;
    if to_regclass(format('recsql.%I', p_set || '_hnsw')) is null then
        execute vector_index_definition(p_set, p_set || '_hnsw');
    end if;
end
$$;

comment on function recsql.add_vector_index(text) is
'Gives a set its HNSW index where it has none. Writers of the set wait while it is built: of a big set that is in use, recsql db '
'reindex-vectors builds it concurrently.';
