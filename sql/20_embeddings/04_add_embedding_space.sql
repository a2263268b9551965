-- recsql.add_embedding_space: number of the space; idempotent.
create function recsql.add_embedding_space(
    p_space text,
    p_modality text,
    p_model text,
    p_revision text,
    p_dim integer,
    p_template text,
    p_version_no integer default null,
    p_source_nos integer [] default null
)
returns integer
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_space embedding_space;
    v_partition text;
begin
    -- Two that find none would both become the modality's active space.
    perform pg_advisory_xact_lock(hashtextextended('recsql.embedding_space', 0));
    select * into v_space from embedding_space where space = p_space;
    if found then
        if (v_space.modality, v_space.model, v_space.revision, v_space.dim, v_space.template)
            is distinct from (p_modality, p_model, p_revision, p_dim, p_template)
        then
            raise exception 'space % belongs to model % (revision %, % dimensions)',
                p_space, v_space.model, v_space.revision, v_space.dim
                using errcode = 'RS004', hint = 'Vectors of two models never meet: give the new model a space of its own.';
        end if;
        if v_space.status = 'retired' then
            update embedding_space as s set status = 'building' where s.space_no = v_space.space_no;
            perform queue_embedding(null, array[p_modality]);
        end if;
        return v_space.space_no;
    end if;
    insert into embedding_space (space, modality, model, revision, dim, template, status, version_no, source_nos)
    select
        p_space, p_modality, p_model, p_revision, p_dim, p_template,
        case
            when exists (select from embedding_space as s where s.modality = p_modality and s.status = 'active')
                or p_modality = 'unified' then 'building'
            else 'active'
        end,
        p_version_no, p_source_nos
    returning * into v_space;
    v_partition := add_list_partition('item_embedding', v_space.space_no);
    execute format(
        'alter table recsql.%1$I add constraint %1$s_dim check (vector_dims(embedding) = %2$s)', v_partition, p_dim
    );
    perform add_vector_index(v_partition);
    perform queue_embedding(null, array[p_modality]);
    return v_space.space_no;
end
$$;

comment on function recsql.add_embedding_space(text, text, text, text, integer, text, integer, integer []) is
'Gives a model''s vectors a space: a partition of item_embedding that takes only vectors of p_dim dimensions, with an HNSW '
'index of its own, and queues all items for it. The first space of a modality is active, what is served; a later one is built '
'beside it until switch_embedding_space. p_version_no, p_source_nos: of modality unified, which is always built first. Returns the '
'space''s number; one that exists for the same model is returned, and embedded again where it was retired. Errors: RS004 the space is another model''s.';
