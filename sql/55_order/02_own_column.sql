-- recsql.own_column: what type it is; null for what is no column that conditions read.
create function recsql.own_column(p_of text, p_attribute text)
returns text
language sql
immutable
begin atomic
    select case p_of
        when 'item'
            then case p_attribute
                when 'tags' then 'array'
                when 'published_at' then 'time'
                when 'age_days' then 'number'
                when 'item_id' then 'string'
                when 'domain' then 'string'
                when 'title' then 'string'
            end
        when 'user' then case p_attribute when 'user_id' then 'string' end
    end;
end;

comment on function recsql.own_column(text, text) is
'The columns that conditions read beside the attributes, which go before an attribute of the same name. p_of: item or user.';
