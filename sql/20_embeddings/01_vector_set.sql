-- recsql.vector_set: one row per set of item vectors that can be searched.
create view recsql.vector_set as
with declared as (
    select
        'item_embedding_' || s.space_no as vector_set,
        format('space_no = %s', s.space_no) as key,
        'content ' || s.space as label,
        s.dim,
        'cosine' as measure
    from recsql.embedding_space as s
    union all
    select
        'item_vector_' || v.version_no as vector_set,
        format('version_no = %s', v.version_no) as key,
        'model ' || m.model as label,
        v.dim,
        'ip' as measure
    from recsql.model_version as v
    inner join recsql.model as m on m.model_no = v.model_no
    where v.dim is not null
)

select
    d.vector_set,
    d.key,
    d.label,
    d.dim,
    d.measure,
    c.oid as table_oid,
    -- As the planner does it: the density of the last analyze, times the pages of today.
    case
        when c.reltuples > 0
            then c.reltuples / greatest(c.relpages, 1)::double precision
                * (pg_relation_size(c.oid) / current_setting('block_size')::double precision)
    end as n_rows,
    (
        select max(split_part(o.opcname, '_', 1))
        from pg_index as x
        inner join pg_opclass as o on o.oid = x.indclass[0]
        where
            x.indrelid = c.oid and x.indisvalid
            and o.opcname in ('halfvec_' || d.measure || '_ops', 'vector_' || d.measure || '_ops')
    ) as index_type
from declared as d
inner join pg_class as c on c.oid = to_regclass('recsql.' || d.vector_set);

comment on view recsql.vector_set is
'One row per set of item vectors: a content space or a model version, named after its partition. key: the condition that all its '
'rows meet, which an index scan by item_no needs as well; label: the space''s or the model''s name; measure: cosine, or ip for '
'inner products; n_rows: an estimate, null before the first analyze; index_type: what its HNSW index holds, halfvec, or vector '
'where an earlier release built it (recsql db reindex-vectors renews it); null where it has none, and every search is exact.';
