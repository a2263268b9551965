-- recsql.add_event_partitions: one partition a year; idempotent.
create function recsql.add_event_partitions(p_from timestamptz, p_to timestamptz)
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_year integer;
    v_name text;
    v_from timestamptz;
    v_to timestamptz;
begin
    for v_year in extract(year from p_from at time zone 'UTC')..extract(year from p_to at time zone 'UTC') loop
        v_name := format('event_%s', v_year);
        v_from := make_timestamptz(v_year, 1, 1, 0, 0, 0, 'UTC');
        v_to := make_timestamptz(v_year + 1, 1, 1, 0, 0, 0, 'UTC');
        continue when to_regclass('recsql.' || v_name) is not null;
        -- Rows that lie in the default partition already stay there: moving them would lock out writers.
        continue when exists (select from event_default as e where e.at >= v_from and e.at < v_to);
        execute format(
            'create table recsql.%I partition of recsql.event for values from (%L) to (%L)', v_name, v_from, v_to
        );
    end loop;
end
$$;

comment on function recsql.add_event_partitions(timestamptz, timestamptz) is
'Makes the yearly partitions of event from one moment to another; years with rows in the default partition stay there.';
