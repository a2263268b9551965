-- recsql.entity_reason: null where the item or user can be used.
create function recsql.entity_reason(p_entity text, p_entity_id text, p_payload text, p_data jsonb)
returns text
language sql
stable
begin atomic
    select case
        when p_entity is null or p_entity not in ('item', 'user') then 'entity is neither item nor user'
        when not recsql.is_valid_id(p_entity_id) then 'malformed ' || p_entity || ' id'
        when octet_length(p_payload) > 4000000 then 'more than 4 MB of text and media'
        when p_data is null or jsonb_typeof(p_data) <> 'object' then 'payload is not a JSON object'
        when length(p_data ->> 'title') > 2000 then 'title has more than 2000 characters'
        when length(p_data ->> 'body') > 1000000 then 'body has more than 1000000 characters'
        when coalesce(p_data ->> 'domain', 'default') !~ '^[a-z0-9_-]{1,63}$'
            then 'domain is not 1 to 63 of a-z, 0-9, _ and -'
        when jsonb_typeof(coalesce(p_data -> 'tags', '[]')) <> 'array' then 'tags is not a JSON array'
        when jsonb_typeof(coalesce(p_data -> 'attributes', '{}')) <> 'object' then 'attributes is not a JSON object'
        when recsql.media_reason(p_data -> 'media') is not null then recsql.media_reason(p_data -> 'media')
        when not pg_input_is_valid(coalesce(p_data ->> 'available', 'true'), 'boolean')
            then 'available is not a boolean'
        when not pg_input_is_valid(coalesce(p_data ->> 'published_at', '1970-01-01'), 'timestamptz')
            then 'published_at is not a time'
        when not isfinite(coalesce(p_data ->> 'published_at', '1970-01-01')::timestamptz) then 'published_at is not a time'
    end;
end;

comment on function recsql.entity_reason(text, text, text, jsonb) is
'The first reason for which a raw item or user cannot be used; null: none.';
