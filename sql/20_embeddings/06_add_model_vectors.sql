-- recsql.add_model_vectors: prepares the partitions of a model version; idempotent.
create function recsql.add_model_vectors(p_version_no integer, p_dim integer, p_with_index boolean default true)
returns void
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_dim integer := (select v.dim from model_version as v where v.version_no = p_version_no);
    v_items text;
    v_users text;
begin
    if not exists (select from model_version as v where v.version_no = p_version_no) then
        raise exception 'there is no model version %', p_version_no
            using errcode = 'RS001', hint = 'recsql.model_version lists them; training adds one.';
    end if;
    if v_dim <> p_dim then
        raise exception 'model version % has vectors of % dimensions, not %', p_version_no, v_dim, p_dim
            using errcode = 'RS004', hint = 'A model of other dimensions is another version: train it again (recsql train).';
    end if;
    v_items := add_list_partition('item_vector', p_version_no);
    v_users := add_list_partition('user_vector', p_version_no);
    if v_dim is null then
        execute format(
            'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_items, p_dim
        );
        execute format(
            'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_users, p_dim
        );
        update model_version set dim = p_dim where version_no = p_version_no;
    end if;
    if p_with_index then
        perform add_vector_index(v_items);
    end if;
end
$$;

comment on function recsql.add_model_vectors(integer, integer, boolean) is
'Gives a model version its partitions of item_vector and user_vector, which take only p_dim dimensions, and an HNSW index for '
'inner products; p_with_index => false leaves that to whoever fills them, since an index of vectors that are there is made in '
'less time (recsql.add_vector_index). Errors: RS001 no such version, RS004 the version has other dimensions.';
