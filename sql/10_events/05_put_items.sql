-- recsql.put_items: number of items added or changed.
create function recsql.put_items(p_item_ids text [], p_data jsonb [])
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_rows bigint;
begin
    insert into domain (domain)
    select distinct coalesce(d.data ->> 'domain', 'default') from unnest(p_data) as d (data)
    on conflict do nothing;
    insert into item as i (item_id, domain, title, body, tags, attributes, available, published_at)
    select
        n.item_id,
        coalesce(n.data ->> 'domain', 'default'),
        n.data ->> 'title',
        n.data ->> 'body',
        array(select jsonb_array_elements_text(coalesce(n.data -> 'tags', '[]'))),
        coalesce(n.data -> 'attributes', '{}'),
        coalesce((n.data ->> 'available')::boolean, true),
        (n.data ->> 'published_at')::timestamptz
    from unnest(p_item_ids, p_data) with ordinality as n (item_id, data, position)
    order by n.position
    on conflict (item_id) do update
        set
            domain = excluded.domain, title = excluded.title, body = excluded.body, tags = excluded.tags,
            attributes = excluded.attributes, available = excluded.available, published_at = excluded.published_at,
            updated_at = now()
        where
            (i.domain, i.title, i.body, i.tags, i.attributes, i.available, i.published_at) is distinct from
            (
                excluded.domain, excluded.title, excluded.body, excluded.tags, excluded.attributes, excluded.available,
                excluded.published_at
            );
    get diagnostics v_rows = row_count;
    perform put_media(p_item_ids, p_data);
    return v_rows;
end
$$;

comment on function recsql.put_items(text [], jsonb []) is
'Adds items, each id once, or replaces them whole with what p_data says of them, in which entity_reason must have found no fault. '
'Media only where p_data has the key media, see put_media. Returns how many were added or changed.';
