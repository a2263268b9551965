-- recsql.put_media: nothing.
create function recsql.put_media(p_item_ids text [], p_data jsonb [])
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    if not exists (select from unnest(p_data) as d (data) where d.data ? 'media') then
        return;
    end if;
    with given as materialized (
        select i.item_no, m.sha256, m.modality, m.mime, m.bytes, m.uri
        from unnest(p_item_ids, p_data) as n (item_id, data)
        inner join item as i on i.item_id = n.item_id
        left join lateral (
            select
                e.value ->> 'modality' as modality,
                coalesce(e.value ->> 'mime', '') as mime,
                e.value ->> 'uri' as uri,
                d.bytes,
                sha256(coalesce(d.bytes, convert_to(e.value ->> 'uri', 'UTF8'))) as sha256
            from jsonb_array_elements(case jsonb_typeof(n.data -> 'media') when 'array' then n.data -> 'media' end) as e
            cross join lateral (select decode(e.value ->> 'base64', 'base64') as bytes) as d
        ) as m on true
        where n.data ? 'media'
    ),

    gone as (
        delete from item_media as m
        where
            m.item_no in (select g.item_no from given as g)
            and not exists (select from given as g where g.item_no = m.item_no and g.sha256 = m.sha256)
    )

    insert into item_media (item_no, sha256, modality, mime, bytes, uri)
    select g.item_no, g.sha256, g.modality, g.mime, g.bytes, g.uri
    from given as g
    where g.sha256 is not null
    on conflict do nothing;
end
$$;

comment on function recsql.put_media(text [], jsonb []) is
'Gives items the media that p_data says of them, under the key media, in place of those that they had; items without the key keep '
'theirs. sha256 is that of the bytes, or of the address where they are: a picture that is changed behind its address is not '
'noticed. media_reason must have found no fault.';
