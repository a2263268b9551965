-- recsql.media_reason: null where the media can be used.
create function recsql.media_reason(p_media jsonb)
returns text
language sql
immutable
begin atomic
    select case
        when p_media is null or jsonb_typeof(p_media) = 'null' then null
        when jsonb_typeof(p_media) <> 'array' then 'media is not a JSON array'
        else (
            select r.reason
            from (
                select m.place, case
                    when jsonb_typeof(m.medium) <> 'object' then 'a medium is not a JSON object'
                    when coalesce(m.medium ->> 'modality', '') not in ('image', 'audio')
                        then 'modality of a medium is neither image nor audio'
                    when (m.medium ->> 'base64' is null) = (m.medium ->> 'uri' is null)
                        then 'a medium needs base64 or uri, and not both'
                    when m.medium ->> 'uri' !~ '^(https?|file)://[^[:space:]]+$' or length(m.medium ->> 'uri') > 2000
                        then 'uri of a medium is no address of http, https or file, and no file that is there'
                    when length(m.medium ->> 'base64') % 4 <> 0 or m.medium ->> 'base64' !~ '^[A-Za-z0-9+/]*={0,2}$'
                        then 'base64 of a medium cannot be decoded'
                end as reason
                from jsonb_array_elements(p_media) with ordinality as m (medium, place)
            ) as r
            where r.reason is not null
            order by r.place
            limit 1
        )
    end;
end;

comment on function recsql.media_reason(jsonb) is
'The first reason for which an item''s media cannot be used; null: none. p_media: array of objects with modality (image or audio), '
'base64 or uri, and mime, which may be left out: what counts is the content.';
