-- recsql.clean_entities: one row of counts; the load's rows of entity_inbox are taken.
create function recsql.clean_entities(
    p_load_no integer, out n_items bigint, out n_users bigint, out n_rejected bigint
)
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    create temporary table taken on commit drop as
    with gone as (
        delete from recsql.entity_inbox as i where i.load_no = p_load_no returning i.*
    )
    select
        g.*,
        case when pg_input_is_valid(g.payload, 'jsonb') and octet_length(g.payload) <= 4000000 then g.payload::jsonb end
            as data,
        row_number() over (partition by g.entity, g.entity_id order by g.inbox_no desc) as version
    from gone as g;

    insert into entity_rejected (load_no, line_no, entity, entity_id, payload, reason)
    select p_load_no, t.line_no, t.entity, t.entity_id, t.payload, r.reason
    from pg_temp.taken as t
    cross join lateral entity_reason(t.entity, t.entity_id, t.payload, t.data) as r (reason)
    where r.reason is not null;
    get diagnostics n_rejected = row_count;

    insert into domain (domain)
    select distinct coalesce(t.data ->> 'domain', 'default')
    from pg_temp.taken as t
    where t.entity = 'item' and entity_reason(t.entity, t.entity_id, t.payload, t.data) is null
    on conflict do nothing;

    insert into item as i (item_id, domain, title, body, tags, attributes, available, published_at)
    select
        t.entity_id,
        coalesce(t.data ->> 'domain', 'default'),
        t.data ->> 'title',
        t.data ->> 'body',
        array(select jsonb_array_elements_text(coalesce(t.data -> 'tags', '[]'))),
        coalesce(t.data -> 'attributes', '{}'),
        coalesce((t.data ->> 'available')::boolean, true),
        (t.data ->> 'published_at')::timestamptz
    from pg_temp.taken as t
    where t.entity = 'item' and t.version = 1 and entity_reason(t.entity, t.entity_id, t.payload, t.data) is null
    order by t.inbox_no
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
    get diagnostics n_items = row_count;

    insert into item_media (item_no, sha256, modality, mime, bytes)
    select i.item_no, sha256(m.bytes), m.modality, m.mime, m.bytes
    from pg_temp.taken as t
    cross join lateral (
        select e.value ->> 'modality' as modality, e.value ->> 'mime' as mime,
            decode(e.value ->> 'base64', 'base64') as bytes
        from jsonb_array_elements(coalesce(t.data -> 'media', '[]')) as e
    ) as m
    inner join item as i on i.item_id = t.entity_id
    where t.entity = 'item' and t.version = 1 and entity_reason(t.entity, t.entity_id, t.payload, t.data) is null
    on conflict do nothing;

    insert into app_user as u (user_id, attributes)
    select t.entity_id, coalesce(t.data -> 'attributes', '{}')
    from pg_temp.taken as t
    where t.entity = 'user' and t.version = 1 and entity_reason(t.entity, t.entity_id, t.payload, t.data) is null
    order by t.inbox_no
    on conflict (user_id) do update set attributes = excluded.attributes
        where u.attributes is distinct from excluded.attributes;
    get diagnostics n_users = row_count;

    drop table pg_temp.taken;
end
$$;

comment on function recsql.clean_entities(integer) is
'Moves the raw items and users of one load into item, item_media and app_user, and those that cannot be used into '
'entity_rejected with their reason; the last row of an id wins. Returns items and users added or changed, rows refused.';
