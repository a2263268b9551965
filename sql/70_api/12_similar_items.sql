-- recsql_api.similar_items: most similar first.
create function recsql_api.similar_items(
    p_item_id text,
    p_n integer default 10,
    p_by text default 'behaviour',
    p_domain text default null,
    p_filter jsonb default '{}'
)
returns table (rank integer, item_id text, similarity double precision)
language plpgsql
stable
security definer
set search_path = recsql, public, pg_temp
as $$
#variable_conflict use_column
declare
    v_item_no integer := (select i.item_no from item as i where i.item_id = p_item_id);
    v_run_no integer := (select r.run_no from release as r where r.slot = 'default');
    v_filter jsonb := coalesce(p_filter, '{}');
    v_set text;
    v_vector item_embedding.embedding%type;
    v_content_nos integer[] := '{}';
    v_content double precision[] := '{}';
begin
    if v_item_no is null then
        raise exception 'there is no item %', p_item_id
            using errcode = 'RS001', hint = 'Item ids are those of recsql_api.upsert_item and of the loaded files.';
    end if;
    if p_by is null or p_by not in ('behaviour', 'content', 'fused') then
        raise exception 'p_by is %, which is not a kind of similarity', coalesce(p_by, 'null')
            using errcode = 'RS002', hint = 'Use behaviour, content or fused.';
    end if;
    perform check_n(p_n);
    if jsonb_typeof(v_filter) <> 'object' then
        raise exception 'p_filter must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"genre": "Comedy"}: it must be contained in the item''s attributes.';
    end if;
    if p_by <> 'behaviour' then
        select 'item_embedding_' || e.space_no, e.embedding into v_set, v_vector
        from content_space as s
        inner join item_embedding as e on e.space_no = s.space_no and e.item_no = v_item_no;
        if found then
            select
                coalesce(array_agg(n.item_no order by n.similarity desc, n.item_no), '{}'),
                coalesce(array_agg(n.similarity order by n.similarity desc, n.item_no), '{}')
            into v_content_nos, v_content
            from nearest_items(
                v_set, v_vector, case p_by when 'fused' then greatest(p_n, 100) else p_n end, p_domain, v_filter, array[v_item_no]
            ) as n;
        end if;
    end if;
    return query
    with behaviour as (
        select n.item_no, n.similarity::double precision as similarity, row_number() over (order by n.place) as position
        from item_similarity as s
        cross join lateral unnest(s.neighbour_nos, s.similarities) with ordinality as n (item_no, similarity, place)
        -- Item by item: a join would read the whole catalogue for a few of its rows.
        cross join lateral (
            select m.available, m.domain, m.attributes from item as m where m.item_no = n.item_no offset 0
        ) as i
        where
            s.run_no = v_run_no and s.item_no = v_item_no and p_by <> 'content'
            and s.source_no = (
                select o.source_no
                from source as o
                cross join lateral (
                    select from item_similarity as a
                    where a.run_no = v_run_no and a.source_no = o.source_no and a.item_no = v_item_no
                    offset 0
                ) as a
                where o.kind = 'similarity'
                order by o.source = 'cosine' desc, o.source_no
                limit 1
            )
            and i.available and (p_domain is null or i.domain = p_domain)
            and (v_filter = '{}' or i.attributes @> v_filter)
    ),

    content as (
        select c.item_no, c.similarity, c.position
        from unnest(v_content_nos, v_content) with ordinality as c (item_no, similarity, position)
    ),

    chosen as (
        select b.item_no, b.similarity from behaviour as b where p_by = 'behaviour'
        union all
        select c.item_no, c.similarity from content as c where p_by = 'content'
        union all
        select f.item_no, sum(1.0::double precision / (60 + f.position))
        from (
            select b.item_no, b.position from behaviour as b
            union all
            select c.item_no, c.position from content as c
        ) as f
        where p_by = 'fused'
        group by f.item_no
    )

    select (row_number() over (order by c.similarity desc, c.item_no))::integer, i.item_id, c.similarity
    from (select h.item_no, h.similarity from chosen as h order by h.similarity desc, h.item_no limit p_n) as c
    cross join lateral (select m.item_id from item as m where m.item_no = c.item_no offset 0) as i
    order by c.similarity desc, c.item_no;
end
$$;

comment on function recsql_api.similar_items(text, integer, text, text, jsonb) is
'Items like an item, most similar first. p_item_id: the application''s id; p_n: 1 to 1000; p_by: behaviour (used by the same '
'people; needs a published run), content (embeddings), fused (both, by reciprocal rank); p_domain: only items of this domain, '
'null for all; p_filter: only items whose attributes contain it. Gives rank from 1, item_id, similarity (higher is better: '
'cosine for content; for behaviour cosine where the item has such neighbours, else another method on its own scale; a sum of '
'1 / (60 + rank) for fused). No row where nothing is known. Errors: RS001 unknown item, RS002 p_n or p_by out of range, or '
'p_filter no object.';
