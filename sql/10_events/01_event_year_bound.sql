-- recsql.event_year_bound
create function recsql.event_year_bound(p_year integer)
returns text
language sql
immutable
begin atomic
    select format(
        'for values from (%L) to (%L)',
        make_timestamptz(p_year, 1, 1, 0, 0, 0, 'UTC'),
        make_timestamptz(p_year + 1, 1, 1, 0, 0, 0, 'UTC')
    );
end;

comment on function recsql.event_year_bound(integer) is 'The bound of a partition by time that holds one year of UTC.';
