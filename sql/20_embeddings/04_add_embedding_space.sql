-- recsql.add_embedding_space: number of the space; idempotent.
create function recsql.add_embedding_space(
    p_space text, p_modality text, p_model text, p_revision text, p_dim integer, p_template text
)
returns integer
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_space embedding_space;
    v_partition text;
begin
    select * into v_space from embedding_space where space = p_space;
    if found then
        if (v_space.model, v_space.revision, v_space.dim, v_space.template)
            is distinct from (p_model, p_revision, p_dim, p_template)
        then
            raise exception 'space % belongs to model % (revision %, % dimensions)',
                p_space, v_space.model, v_space.revision, v_space.dim
                using errcode = 'RS004', hint = 'Vectors of two models never meet: give the new model a space of its own.';
        end if;
        return v_space.space_no;
    end if;
    insert into embedding_space (space, modality, model, revision, dim, template)
    values (p_space, p_modality, p_model, p_revision, p_dim, p_template)
    returning * into v_space;
    v_partition := add_list_partition('item_embedding', v_space.space_no);
    execute format(
        'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_partition, p_dim
    );
    perform add_vector_index(v_partition);
    return v_space.space_no;
end
$$;

comment on function recsql.add_embedding_space(text, text, text, text, integer, text) is
'Gives a model''s vectors a space: a partition of item_embedding that takes only vectors of p_dim dimensions, with an HNSW '
'index of its own. Returns the space''s number; a space that exists for the same model is returned as it is.';
