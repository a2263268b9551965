-- recsql.phrase: one clause; never null.
create function recsql.phrase(p_component text, p_source recsql.source, p_title text)
returns text
language sql
immutable
begin atomic
    select case
        when p_title is not null then (p_source).reason || ' ' || p_title
        when (p_source).kind in ('similarity', 'vector') and (p_source).history_length is not null
            then 'fits what you chose before'
        when (p_source).reason is not null then (p_source).reason
        when p_component = 'new' then 'new here'
        when p_component = 'seen' then 'you know it; nothing new is left'
        else p_component
    end;
end;

comment on function recsql.phrase(text, recsql.source, text) is
'A readable clause: what a component means, and the title of the item that speaks for it where there is one. p_source: the source '
'of the component, null for new and seen.';
