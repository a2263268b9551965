-- recsql.parse_at: null where the text is not a time between 1970 and 2100.
create function recsql.parse_at(p_at text, p_units_per_second double precision)
returns timestamptz
language sql
stable
begin atomic
    select recsql.event_time(
        p_at,
        case when pg_input_is_valid(p_at, 'double precision') then p_at::double precision / p_units_per_second end
    );
end;

comment on function recsql.parse_at(text, double precision) is
'Time of a raw event: Unix time in the given units a second, or ISO 8601; null if it is neither, or not from 1970 to 2100.';
