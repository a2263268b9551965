-- recsql.is_count: never null.
create function recsql.is_count(p_value jsonb, p_least integer, p_most integer)
returns boolean
language sql
immutable
begin atomic
    select coalesce(
        case jsonb_typeof(p_value)
            when 'number' then p_value::numeric between p_least and p_most and p_value::numeric = trunc(p_value::numeric)
        end,
        false
    );
end;

comment on function recsql.is_count(jsonb, integer, integer) is 'Whether a JSON value is a whole number from p_least to p_most.';
