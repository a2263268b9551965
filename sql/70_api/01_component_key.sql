-- recsql.component_key
create function recsql.component_key(p_component text)
returns text
language sql
immutable
begin atomic
    select case
        when starts_with(p_component, 'rule ') then 'rule'
        when starts_with(p_component, 'control ') then 'control'
        else split_part(p_component, ' ', -1)
    end;
end;

comment on function recsql.component_key(text) is
'What a component is worded by: the source of live, context and cold SOURCE, rule of rule NAME, control of control NAME.';
