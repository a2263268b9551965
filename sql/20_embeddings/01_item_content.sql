-- recsql.item_content: the text that a space embeds; null where the item has none.
create function recsql.item_content(p_item recsql.item, p_template text)
returns text
language sql
immutable
begin atomic
    select nullif(btrim(left(
        replace(replace(replace(
            p_template,
            '{title}', coalesce((p_item).title, '')),
            '{tags}', array_to_string((p_item).tags, ', ')),
            '{body}', coalesce((p_item).body, '')
        ), 20000
    ), ' .,'), '');
end;

comment on function recsql.item_content(recsql.item, text) is
'The text of an item that a space embeds: its template with {title}, {tags} and {body} filled in, at most 20,000 characters.';
