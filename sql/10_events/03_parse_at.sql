-- recsql.parse_at: null where the text is not a time between 1970 and 2100.
create function recsql.parse_at(p_at text, p_units_per_second double precision)
returns timestamptz
language sql
stable
begin atomic
    select case
        when pg_input_is_valid(p_at, 'double precision') then
            case
                when p_at::double precision / p_units_per_second between 0 and 4102444800
                    then to_timestamp(p_at::double precision / p_units_per_second)
            end
        when p_at ~ '^\d{4}-' and pg_input_is_valid(p_at, 'timestamptz') then
            case
                when p_at::timestamptz between '1970-01-01 00:00:00+00' and '2100-01-01 00:00:00+00'
                    then p_at::timestamptz
            end
    end;
end;

comment on function recsql.parse_at(text, double precision) is
'Time of a raw event: Unix time in the given units a second, or ISO 8601; null if it is neither, or not from 1970 to 2100.';
