-- recsql.event_time: null where it is not between 1970 and 2100.
create function recsql.event_time(p_at text, p_seconds double precision)
returns timestamptz
language sql
stable
begin atomic
    select case
        when p_seconds between 0 and 4102444800 then to_timestamp(p_seconds)
        when p_seconds is null and p_at ~ '^\d{4}-' and pg_input_is_valid(p_at, 'timestamptz') then
            case
                when p_at::timestamptz between '1970-01-01 00:00:00+00' and '2100-01-01 00:00:00+00'
                    then p_at::timestamptz
            end
    end;
end;

comment on function recsql.event_time(text, double precision) is
'Time of a raw event: p_seconds of Unix time if its text is a number, or else ISO 8601; null if it is neither, or not from 1970 '
'to 2100.';
