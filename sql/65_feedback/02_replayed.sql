-- recsql.replayed: the items in the order in which they would have been shown.
create function recsql.replayed(p_request_id uuid, p_item_nos integer [])
returns integer []
language sql
stable
begin atomic
    select array_agg(o.item_no order by o.score desc)
    from recsql.request as r
    cross join lateral (
        select count(*)::integer as n, coalesce(
            array_agg(i.item_no) filter (where recsql.free_position(r.controls, i.position) is null), '{}'
        ) as pinned_nos
        from recsql.impression as i
        where i.request_id = r.request_id
    ) as s
    cross join lateral unnest(
        p_item_nos,
        recsql.promoted(
            array(select u from recsql.rule as u where r.controls -> 'rules' ? u.rule), s.pinned_nos, p_item_nos,
            recsql.reordered(
                r.run_no, r.user_no, r.slot, r.controls, p_item_nos, r.pool_scores::double precision [], s.n
            ),
            s.n
        )
    ) as o (item_no, score)
    where r.request_id = p_request_id;
end;

comment on function recsql.replayed(uuid, integer []) is
'What the controls and promotions of a logged request make of its pool in another order, p_item_nos: what recommend() would have drawn from, had '
'another ranking policy ordered the pool. By contents, popularity and rules as they are now; caps hold for any order of a logged pool.';
