-- recsql.activity_newest: an hour, 0 where nothing has happened.
create function recsql.activity_newest()
returns integer
language sql
stable
begin atomic
    with touched as materialized (
        select p.hour, p.item_no, p.kind_no, p.n_after from recsql.pending_activity() as p
    ),

    gone as materialized (
        select t.hour, t.item_no, t.kind_no from touched as t where t.n_after = 0
    )

    select coalesce(greatest(
        (select max(t.hour) from touched as t where t.n_after > 0 and t.hour <= recsql.activity_hour(now())),
        -- Hardly ever is anything gone, and then the index tells.
        (
            select max(a.hour) from recsql.item_activity as a
            where a.hour <= recsql.activity_hour(now()) and not exists (select from gone)
        ),
        (
            select max(a.hour) from recsql.item_activity as a
            left join gone as g on g.hour = a.hour and g.item_no = a.item_no and g.kind_no = a.kind_no
            where a.hour <= recsql.activity_hour(now()) and g.hour is null and exists (select from gone)
        )
    ), 0);
end;

comment on function recsql.activity_newest() is
'The newest bucket with an event, pending ones included, that has begun by now: where the windows of trending end. Events dated '
'later wait until then.';
