-- recsql.nearest_items: nearest first.
create function recsql.nearest_items(
    p_set text,
    p_vector vector,
    p_n integer,
    p_domain text default null,
    p_filter jsonb default '{}',
    p_exclude integer [] default '{}'
)
returns table (item_no integer, similarity double precision, strategy text)
language plpgsql
set search_path = recsql, public, pg_temp
as $$
#variable_conflict use_column
declare
    v_filter jsonb := coalesce(p_filter, '{}');
    v_exclude integer[] := coalesce(p_exclude, '{}');
    v_plan record;
    v_item_nos integer[];
    v_similarities double precision[];
begin
    if jsonb_typeof(v_filter) <> 'object' then
        raise exception 'p_filter must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"genre": "Comedy"}: it must be contained in the item''s attributes.';
    end if;
    select * into v_plan from vector_search_plan(p_set, p_n, p_domain, v_filter);
    if vector_dims(p_vector) <> v_plan.dim then
        raise exception 'the vector has % dimensions, those of % have %', vector_dims(p_vector), p_set, v_plan.dim
            using errcode = 'RS004', hint = 'Search a set with vectors of the model that it belongs to.';
    end if;
    if p_vector is null or v_plan.measure = 'cosine' and vector_norm(p_vector) = 0 then
        return;
    end if;
    if v_plan.strategy = 'index' then
        select
            array_agg(n.item_no order by n.similarity desc, n.item_no),
            array_agg(n.similarity order by n.similarity desc, n.item_no)
        into v_item_nos, v_similarities
        from nearest_by_index(p_set, p_vector, p_n, p_domain, v_filter, v_exclude) as n;
        if cardinality(v_item_nos) = p_n then
            return query
            select n.item_no, n.similarity, 'index'
            from unnest(v_item_nos, v_similarities) as n (item_no, similarity);
            return;
        end if;
    end if;
    return query
    select n.item_no, n.similarity, case v_plan.strategy when 'index' then 'completed' else 'exact' end
    from nearest_exact(p_set, p_vector, p_n, p_domain, v_filter, v_exclude) as n;
end
$$;

comment on function recsql.nearest_items(text, vector, integer, text, jsonb, integer []) is
'The p_n items of a set that are nearest to a vector, nearest first: available, of the domain (null: any), with attributes that '
'contain p_filter, and not among p_exclude. similarity: cosine, or the inner product where the set is a model''s; strategy: '
'exact or index as vector_search_plan chose, completed where the index found fewer than p_n and all rows were compared instead. '
'No row for a null vector, and by cosine none for one of length 0. Errors: RS001 no such set, RS002 p_filter is no object, '
'RS004 the vector has other dimensions.';
