drop table recsql.item_trend;
drop table recsql.trend_window;
drop table recsql.activity_state;
drop table recsql.activity_pending;
drop table recsql.item_activity;

create table recsql.item_activity (
    run_no integer not null,
    day date not null,
    item_no integer not null,
    n_users integer not null,
    weight real not null,
    primary key (run_no, day, item_no)
) partition by list (run_no);
comment on table recsql.item_activity is
'One row per run, day and item: users whose newest event with the item was on that day, and their summed weight.';
-- What the earlier revision's stage of popularity wrote, in partitions named as its begin_run and prune_run name them.
do $$
declare
    v_run_no integer;
begin
    for v_run_no in select r.run_no from recsql.run as r where to_regclass('recsql.interaction_' || r.run_no) is not null loop
        execute format(
            'create table recsql.%I partition of recsql.item_activity for values in (%s)', 'item_activity_' || v_run_no, v_run_no
        );
        insert into recsql.item_activity (run_no, day, item_no, n_users, weight)
        select v_run_no, (i.at at time zone 'UTC')::date, i.item_no, count(*), sum(i.weight)
        from recsql.interaction as i
        where i.run_no = v_run_no and i.step is not null
        group by (i.at at time zone 'UTC')::date, i.item_no;
    end loop;
end
$$;
