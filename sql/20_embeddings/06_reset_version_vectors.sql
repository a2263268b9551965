-- recsql.reset_version_vectors: prepares an empty partition of a model version; idempotent.
create function recsql.reset_version_vectors(p_table text, p_version_no integer)
returns void
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_dim integer := (select v.dim from model_version as v where v.version_no = p_version_no);
    v_vectors text;
begin
    if v_dim is null then
        raise exception 'model version % has no vectors', p_version_no
            using errcode = 'RS001', hint = 'recsql.model_version lists those that do; training adds one.';
    end if;
    execute format('drop table if exists recsql.%I', p_table || '_' || p_version_no);
    v_vectors := add_list_partition(p_table, p_version_no);
    execute format(
        'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_vectors, v_dim
    );
end
$$;

comment on function recsql.reset_version_vectors(text, integer) is
'Gives a model version a partition of p_table, state_vector or attribution, that is empty and takes only its dimensions. Errors: RS001 there '
'is no such version, or it has no vectors.';
