-- recsql.item_document: one JSON object.
create function recsql.item_document(p_item recsql.item)
returns jsonb
language sql
stable
begin atomic
    select jsonb_build_object(
        'attributes', (p_item).attributes,
        'item_id', (p_item).item_id,
        'domain', (p_item).domain,
        'title', (p_item).title,
        'tags', (p_item).tags,
        'published_at', extract(epoch from (p_item).published_at),
        'age_days', extract(epoch from now() - (p_item).published_at) / 86400
    );
end;

comment on function recsql.item_document(recsql.item) is
'What conditions read of an item: its attributes and its own columns. published_at: seconds since 1970; age_days: days since then.';
