-- recsql.new_event_year: name of the table; null where the year has its partition, or keeps its rows in the default one.
create function recsql.new_event_year(p_year integer)
returns text
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_name text := format('event_%s', p_year);
    v_from timestamptz := make_timestamptz(p_year, 1, 1, 0, 0, 0, 'UTC');
    v_to timestamptz := make_timestamptz(p_year + 1, 1, 1, 0, 0, 0, 'UTC');
begin
    if to_regclass('recsql.' || v_name) is null then
        -- Two loads that begin a year at once: the second waits, and finds the partition of the first.
        perform pg_advisory_xact_lock(hashtextextended('recsql.new_event_year', 0));
    end if;
    if
        to_regclass('recsql.' || v_name) is not null
        -- Rows that lie in the default partition already stay there: moving them would lock out writers.
        or exists (select from event_default as e where e.at >= v_from and e.at < v_to)
    then
        return null;
    end if;
    execute format('create table recsql.%I (like recsql.event including defaults including constraints)', v_name);
    return v_name;
end
$$;

comment on function recsql.new_event_year(integer) is
'Makes the table of a year that has none, to be filled without indexes and then attached by attach_event_year. Returns its name, '
'or null where the year has its partition already or has rows in the default partition, where they stay.';
