-- recsql.is_valid_id
create function recsql.is_valid_id(p_id text)
returns boolean
language sql
immutable
begin atomic
    select coalesce(p_id ~ '^[^-[:cntrl:][:space:]][^[:cntrl:]]{0,199}$', false);
end;

comment on function recsql.is_valid_id(text) is
'Whether a text can be the id of a user or an item: 1 to 200 characters, no control characters, and not starting with '
'white space or a minus sign (negative numbers are how many systems write "nobody").';
