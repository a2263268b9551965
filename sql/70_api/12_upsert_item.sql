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
        'title', p_title, 'body', p_body, 'domain', p_domain, 'tags', p_tags, 'attributes', p_attributes
    );
    v_reason text := entity_reason('item', p_item_id, v_payload::text, v_payload);
begin
    if v_reason is not null then
        raise exception '%', v_reason using errcode = 'RS002', hint = 'Nothing was written.';
    end if;
    insert into domain (domain) values (p_domain) on conflict do nothing;
    insert into item as i (item_id, domain, title, body, tags, attributes, available, published_at)
    values (p_item_id, p_domain, p_title, p_body, p_tags, p_attributes, p_available, p_published_at)
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
    return found;
end
$$;

comment on function recsql_api.upsert_item(text, text, text, text, text [], jsonb, boolean, timestamptz) is
'Adds an item or replaces it whole. p_domain: a-z, 0-9, _ and -; p_available: false takes it out of all answers at once. The next '
'embedding makes it findable by content. Returns whether anything changed. Errors: RS002 arguments that do not fit.';
