-- recsql.add_model_vectors: prepares the partitions of a model version; idempotent.
create function recsql.add_model_vectors(p_version_no integer, p_dim integer)
returns void
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_items text := add_list_partition('item_vector', p_version_no);
    v_users text := add_list_partition('user_vector', p_version_no);
begin
    if not exists (select from pg_constraint where conname = v_items || '_dim') then
        execute format(
            'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_items, p_dim
        );
        execute format(
            'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_users, p_dim
        );
        execute format(
            'create index %1$s_hnsw on recsql.%1$I using hnsw ((embedding::vector(%2$s)) vector_ip_ops)', v_items, p_dim
        );
    end if;
    update model_version set dim = p_dim where version_no = p_version_no;
end
$$;

comment on function recsql.add_model_vectors(integer, integer) is
'Gives a model version its partitions of item_vector and user_vector, which take only p_dim dimensions, and an HNSW index for '
'inner products.';
