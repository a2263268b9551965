-- recsql.activity_hour
create function recsql.activity_hour(p_at timestamptz)
returns integer
language sql
immutable
begin atomic
    select floor(date_part('epoch', p_at) / 3600)::integer;
end;

comment on function recsql.activity_hour(timestamptz) is 'The hour of a moment, in hours since 1970 (UTC): the bucket that it is counted in.';
