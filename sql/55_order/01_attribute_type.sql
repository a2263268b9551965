-- recsql.attribute_type: null where nothing has the attribute.
create function recsql.attribute_type(p_of text, p_attribute text)
returns text []
language sql
stable
begin atomic
    select array_agg(distinct jsonb_typeof(a.value))
    from (
        (
            select i.attributes -> p_attribute as value
            from recsql.item as i
            where p_of = 'item' and i.attributes ? p_attribute
            limit 1000
        )
        union all
        (
            select u.attributes -> p_attribute
            from recsql.app_user as u
            where p_of = 'user' and u.attributes ? p_attribute
            limit 1000
        )
    ) as a;
end;

comment on function recsql.attribute_type(text, text) is
'Which JSON types an attribute has among a thousand of those that have it. p_of: item or user.';
