-- recsql.item_categories: a JSON array of the categories of an item, in no order; empty where it has none.
create function recsql.item_categories(p_item recsql.item, p_key text)
returns jsonb
language sql
stable
begin atomic
    -- No subquery, so that it is inlined.
    select case
        when p_key = 'domain' then jsonb_build_array(p_item.domain)
        when p_key = 'tags' then to_jsonb(p_item.tags)
        when jsonb_typeof(p_item.attributes -> p_key) = 'array' then p_item.attributes -> p_key
        when jsonb_typeof(p_item.attributes -> p_key) in ('string', 'number', 'boolean')
            then jsonb_build_array(p_item.attributes -> p_key)
        else '[]'
    end;
end;

comment on function recsql.item_categories(recsql.item, text) is
'What categories an item has by a key: domain, tags, or an attribute that is one value or an array of them.';
