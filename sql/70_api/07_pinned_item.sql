-- recsql.pinned_item: one row per element of p_item_nos.
create function recsql.pinned_item(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_had_nos integer [],
    p_had_weights double precision [],
    p_taste vector,
    p_item_nos integer [],
    p_rules text []
)
returns table (item_no integer, parts jsonb)
language sql
stable
begin atomic
    -- Once, and not for every neighbour of what the user had.
    with asked as materialized (
        select recsql.personal_share(p_run_no, p_user_no, p_had_weights) as share,
            recsql.is_published_for(p_run_no, p_user_no) as is_published
    )

    select p.item_no, coalesce(c.parts, jsonb_build_object('rule ' || p.rule, 0))
    from unnest(p_item_nos, p_rules) as p (item_no, rule)
    left join (
        select a.item_no, jsonb_object_agg(a.component, a.contribution) as parts
        from (
            select h.item_no, h.component, h.contribution
            from asked as k
            cross join recsql.history_part(p_run_no, p_policy_no, p_user_no, p_had_nos, p_had_weights, k.share) as h
            where h.item_no = any(p_item_nos) and not k.is_published
            union all
            select t.item_no, t.component, t.contribution
            from asked as k
            cross join recsql.cold_part(p_run_no, p_policy_no, p_taste, k.share, p_item_nos) as t
        ) as a
        group by a.item_no
    ) as c on c.item_no = p.item_no;
end;

comment on function recsql.pinned_item(
    integer, integer, integer, integer [], double precision [], vector, integer [], text []
) is
'What pinned items are worth of which nothing is published for the user, as in fallback; of which nothing is known at all: component rule NAME, 0. '
'Where other items are published for the user, their trend and content alone: what is near to all that the user had takes longer to find than '
'the rest of a request, and a pin stands at its position whatever it is worth.';
