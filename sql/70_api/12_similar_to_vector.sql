-- recsql_api.similar_to_vector: most similar first.
create function recsql_api.similar_to_vector(
    p_vector vector,
    p_n integer default 10,
    p_space text default null,
    p_domain text default null,
    p_filter jsonb default '{}'
)
returns table (rank integer, item_id text, similarity double precision)
language plpgsql
stable
security definer
set search_path = recsql, public, pg_temp
as $$
declare
    v_set text;
begin
    perform check_n(p_n);
    if p_space is null then
        select 'item_embedding_' || c.space_no into v_set from content_space as c;
    else
        select 'item_embedding_' || s.space_no into v_set from embedding_space as s where s.space = p_space;
        if not found then
            raise exception 'there is no space %', p_space
                using errcode = 'RS001', hint = 'recsql_api.embedding_progress lists them.';
        end if;
    end if;
    return query
    select (row_number() over (order by n.similarity desc, n.item_no))::integer, i.item_id, n.similarity
    from nearest_items(v_set, p_vector, p_n, p_domain, p_filter) as n
    inner join item as i on i.item_no = n.item_no
    where v_set is not null
    order by n.similarity desc, n.item_no;
end
$$;

comment on function recsql_api.similar_to_vector(vector, integer, text, text, jsonb) is
'Items that are nearest to a vector, most similar first: a text, an image or a sound that the model of a space has made a vector of, '
'as ''recsql search'' does. p_vector: of the dimensions of the space; p_n: 1 to 1000; p_space: a name of '
'recsql_api.embedding_progress, null for the one in which similar_items compares contents; p_domain: only items of this domain, null '
'for all; p_filter: only items whose attributes contain it. Gives rank from 1, item_id, similarity (cosine, higher is better). No row '
'for a null vector or one of length 0. Errors: RS001 no such space, RS002 p_n out of range or p_filter no object, RS004 the vector '
'has other dimensions.';
