-- recsql.phrase: one clause; never null.
create function recsql.phrase(p_component text, p_template text, p_history text, p_title text)
returns text
language sql
immutable
begin atomic
    select case
        when p_template is null then p_component
        when strpos(p_template, '{name}') > 0
            then replace(p_template, '{name}', substr(p_component, strpos(p_component, ' ') + 1))
        when strpos(p_template, '{title}') = 0 then p_template
        when p_title is null then p_history
        else replace(p_template, '{title}', p_title)
    end;
end;

comment on function recsql.phrase(text, text, text, text) is
'A readable clause: what a component means, and the title of the item that speaks for it. p_template: of the component (wording), null '
'where it has none; p_history: what is said where the template asks for a title and p_title is null. {name} is what follows the '
'first word of the component.';
