-- recsql.request_note: one row per thing that a logged request tells of an item that it showed.
create function recsql.request_note(p_request_id uuid, p_user_no integer, p_item_no integer)
returns table (component text, value text)
language sql
stable
begin atomic
    with shown as materialized (
        select i.position, i.propensity, r.pool_nos, array_position(r.pool_nos, p_item_no) as place,
            -- By name, for requests that have none.
            to_jsonb(r) -> 'controls' as controls
        from recsql.request as r
        inner join recsql.impression as i on i.request_id = r.request_id
        where r.request_id = p_request_id and r.user_no = p_user_no and i.item_no = p_item_no
    )

    select 'position', s.position::text from shown as s
    union all
    select 'exploration', round(s.propensity::numeric, 6)::text
    from shown as s
    where
        s.propensity < 1
        and exists (
            -- Something better was left.
            select from unnest(s.pool_nos[: s.place - 1]) as b (item_no)
            where b.item_no not in (
                select a.item_no from recsql.impression as a where a.request_id = p_request_id and a.position < s.position
            )
        )
    union all
    select 'control ' || c.key, c.value
    from shown as s
    cross join lateral jsonb_each_text(case jsonb_typeof(s.controls) when 'object' then s.controls end) as c
    -- diversity_method says nothing where diversity is off.
    where coalesce(s.controls -> split_part(c.key, '_', 1), 'null') not in ('null', '0', 'false');
end;

comment on function recsql.request_note(uuid, integer, integer) is
'Where a logged request showed an item to a user (position), with which propensity chance put it there, where it did (exploration), and '
'which controls were on (control NAME).';
