-- recsql_api.upsert_item: whether anything changed.
create function recsql_api.upsert_item(
    p_item_id text,
    p_title text default null,
    p_body text default null,
    p_domain text default 'default',
    p_tags text [] default '{}',
    p_attributes jsonb default '{}',
    p_available boolean default true,
    p_published_at timestamptz default null
)
returns boolean
language plpgsql
security definer
set search_path = recsql, pg_temp
as $$
declare
    v_payload jsonb := jsonb_build_object(
        'title', p_title, 'body', p_body, 'domain', p_domain, 'tags', p_tags, 'attributes', p_attributes,
        'available', p_available, 'published_at', p_published_at
    );
    v_reason text := entity_reason('item', p_item_id, v_payload::text, v_payload);
begin
    if v_reason is not null then
        raise exception '%', v_reason using errcode = 'RS002', hint = 'Nothing was written.';
    end if;
    return put_items(array[p_item_id], array[v_payload]) > 0;
end
$$;

comment on function recsql_api.upsert_item(text, text, text, text, text [], jsonb, boolean, timestamptz) is
'Adds an item or replaces it whole: what is left out goes back to its default. p_item_id: the application''s id; p_title, '
'p_body, p_tags: text that is embedded; p_domain: a-z, 0-9, _ and -; p_attributes: JSON object for p_filter; p_available: '
'false takes it out of all answers at once; p_published_at: newer items come first among those without events. The next '
'embedding makes it findable by content. Returns whether anything changed. Errors: RS002 arguments that do not fit.';
