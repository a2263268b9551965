-- recsql.unchanged_user: one row per user.
create function recsql.unchanged_user(p_run_no integer, p_since_run_no integer, p_with_weights boolean)
returns table (user_no integer)
language sql
stable
begin atomic
    with positive as (
        select i.user_no, i.item_no, i.step, i.weight, i.rating, i.event_no
        from recsql.interaction as i
        where i.run_no = p_run_no and i.step is not null
    ),

    earlier as (
        select i.user_no, i.item_no, i.step, i.weight, i.rating, i.event_no
        from recsql.interaction as i
        where i.run_no = p_since_run_no and i.step is not null
    )

    select coalesce(p.user_no, e.user_no)
    from positive as p
    full join earlier as e on e.user_no = p.user_no and e.item_no = p.item_no
    group by coalesce(p.user_no, e.user_no)
    having
        bool_and(
            coalesce(
                p.step = e.step
                and (
                    not p_with_weights
                    or (
                        p.weight = e.weight and p.rating is not distinct from e.rating
                        -- Another event has a kind and a moment of its own.
                        and p.event_no = e.event_no
                    )
                ),
                false
            )
        );
end;

comment on function recsql.unchanged_user(integer, integer, boolean) is
'Users of whom a run knows the same positive items in the same order as an earlier one, p_with_weights: by the same events, of '
'the same weights and normalised ratings as well, of which the former change as time passes where a kind of event has a half-life.';
