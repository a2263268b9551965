-- recsql.add_event_partitions: one partition a year; idempotent.
create function recsql.add_event_partitions(p_from timestamptz, p_to timestamptz)
returns void
language sql
begin atomic
    select recsql.attach_event_year(y.year)
    from generate_series(
        extract(year from p_from at time zone 'UTC')::integer, extract(year from p_to at time zone 'UTC')::integer
    ) as y (year)
    where recsql.new_event_year(y.year) is not null;
end;

comment on function recsql.add_event_partitions(timestamptz, timestamptz) is
'Makes the yearly partitions of event from one moment to another; years with rows in the default partition stay there.';
