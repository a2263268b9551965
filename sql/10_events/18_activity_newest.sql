-- recsql.activity_newest: an hour, 0 where nothing has happened.
create function recsql.activity_newest()
returns integer
language sql
stable
begin atomic
    with touched as materialized (
        select p.hour, p.item_no, p.kind_no, p.n_after from recsql.pending_activity() as p
    )

    select coalesce(
        case
            when not exists (select from recsql.activity_pending as p where p.n_events < 0)
                -- Hardly ever has anything gone, and then the indexes tell.
                then greatest(
                    (
                        select max(
                            case
                                when p.hour < (select s.rolled_before from recsql.activity_state as s) then p.hour - p.hour % 24
                                else p.hour
                            end
                        )
                        from recsql.activity_pending as p
                        where p.hour <= recsql.activity_hour(now())
                    ),
                    (select max(a.hour) from recsql.item_activity as a where a.hour <= recsql.activity_hour(now()))
                )
            else greatest(
                (select max(t.hour) from touched as t where t.n_after > 0 and t.hour <= recsql.activity_hour(now())),
                (
                    select max(a.hour)
                    from recsql.item_activity as a
                    left join touched as t on t.hour = a.hour and t.item_no = a.item_no and t.kind_no = a.kind_no
                    where a.hour <= recsql.activity_hour(now()) and t.hour is null
                )
            )
        end,
        0
    );
end;

comment on function recsql.activity_newest() is
'The newest bucket with an event, pending ones included, that has begun by now: where the windows of trending end. Events dated '
'later wait until then.';
