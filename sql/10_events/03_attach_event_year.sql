-- recsql.attach_event_year: number of rows that were not new.
create function recsql.attach_event_year(p_year integer)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_name text := format('event_%s', p_year);
    v_index text := format(
        'create unique index on recsql.%I (user_no, at, item_no, kind_no, value) nulls not distinct', v_name
    );
    v_known bigint := 0;
    v_rows bigint;
begin
    begin
        execute v_index;
    exception when unique_violation then
        execute format(
            $sql$
            delete from recsql.%1$I as e
            using (
                select
                    d.ctid,
                    row_number() over (
                        partition by d.user_no, d.at, d.item_no, d.kind_no, d.value order by d.event_no
                    ) as place
                from recsql.%1$I as d
            ) as d
            where d.ctid = e.ctid and d.place > 1
            $sql$,
            v_name
        );
        get diagnostics v_known = row_count;
        execute v_index;
    end;
    begin
        execute format('alter table recsql.event attach partition recsql.%I %s', v_name, event_year_bound(p_year));
        -- Past the trigger of event; to count its rows here would hold up the load.
        execute format(
            'insert into recsql.activity_pending (load_no, year) select e.load_no, $1 from recsql.%I as e limit 1', v_name
        ) using p_year;
        execute format('insert into recsql.user_change (user_no) select distinct e.user_no from recsql.%I as e', v_name);
    exception when check_violation then
        -- Somebody has written an event of that year meanwhile, and it went to the default partition.
        execute format('select count(*) from recsql.%I', v_name) into v_known;
        execute format('alter table recsql.%I rename to %I', v_name, v_name || '_late');
        execute format('insert into recsql.event select e.* from recsql.%I as e on conflict do nothing', v_name || '_late');
        get diagnostics v_rows = row_count;
        v_known := v_known - v_rows;
        execute format('drop table recsql.%I', v_name || '_late');
    end;
    return v_known;
end
$$;

comment on function recsql.attach_event_year(integer) is
'Makes a table of new_event_year that one load has filled a partition of event, with its indexes; of equal events the first is '
'kept. Returns the number of those left out.';
