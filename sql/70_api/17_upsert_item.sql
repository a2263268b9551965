-- recsql_api.upsert_item: whether anything changed.
create function recsql_api.upsert_item(
    p_item_id text,
    p_title text default null,
    p_body text default null,
    p_domain text default 'default',
    p_tags text [] default '{}',
    p_attributes jsonb default '{}',
    p_available boolean default true,
    p_published_at timestamptz default null,
    p_media jsonb default null
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
    ) || case when p_media is null then '{}' else jsonb_build_object('media', p_media) end;
    v_reason text := entity_reason('item', p_item_id, v_payload::text, v_payload);
begin
    if v_reason is not null then
        raise exception '%', v_reason using errcode = 'RS002', hint = 'Nothing was written.';
    end if;
    return put_items(array[p_item_id], array[v_payload]) > 0;
end
$$;

comment on function recsql_api.upsert_item(text, text, text, text, text [], jsonb, boolean, timestamptz, jsonb) is
'Adds an item or replaces it whole: what is left out goes back to its default, media aside. p_item_id: the application''s id; p_title, '
'p_body, p_tags: text that is embedded; p_domain: a-z, 0-9, _ and -; p_attributes: JSON object for p_filter; p_available: '
'false takes it out of all answers at once; p_published_at: newer items come first among those without events; p_media: its images '
'and sounds, as [{"modality": "image", "uri": "https://…"}, {"modality": "audio", "base64": "…"}], in place of those it had, null '
'for leaving them as they are. A worker embeds what has changed within a second, and then it is found by content. Returns whether '
'anything but media changed. Errors: RS002 arguments that do not fit.';
