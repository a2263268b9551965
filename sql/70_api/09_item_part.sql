-- recsql.item_part: one row per component.
create function recsql.item_part(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_item_no integer,
    p_domain text,
    p_known_nos integer [],
    p_known_weights double precision [],
    p_new_nos integer [],
    p_new_weights double precision [],
    p_is_pinned boolean
)
returns table (component text, contribution double precision, is_sum boolean)
language sql
stable
begin atomic
    with asked as materialized (
        select
            recsql.content_taste(p_known_nos, p_known_weights, p_new_nos, p_new_weights) as taste,
            recsql.is_new_domain(p_domain, p_new_nos || p_known_nos) as is_cold,
            recsql.personal_share(p_run_no, p_user_no, p_new_weights || p_known_weights) as share
    ),

    pooled as materialized (
        select k.key as component, k.value::double precision as contribution, true as is_sum
        from asked as a
        inner join recsql.recommendation as r
            on r.run_no = p_run_no and r.user_no = p_user_no and r.item_no = p_item_no and not a.is_cold
        cross join lateral jsonb_each_text(r.parts) as k
        union all
        select f.component, sum(f.weight * s.similarities[array_position(s.neighbour_nos, p_item_no)]), true
        from asked as a
        cross join recsql.fresh_weight(p_run_no, p_policy_no, p_user_no, p_new_nos, p_new_weights, null) as f
        inner join recsql.item_similarity as s
            on s.run_no = p_run_no and s.source_no = f.source_no and s.item_no = f.item_no
        where
            p_item_no = any(s.neighbour_nos) and not a.is_cold and recsql.is_published_for(p_run_no, p_user_no)
        group by f.component
        union all
        -- What a newcomer is worth is read from what is published, so its evidence is only what is nearest.
        select 'cold content', n.contribution, false
        from asked as a
        cross join recsql.newcomer_part(p_run_no, p_user_no, a.taste) as n
        where n.item_no = p_item_no and not a.is_cold
    ),

    cold as materialized (
        select c.component, c.contribution
        from asked as a
        cross join recsql.cold_part(p_run_no, p_policy_no, a.taste, a.share, array[p_item_no]) as c
        where not exists (select from pooled)
        union all
        select h.component, h.contribution
        from asked as a
        cross join recsql.history_part(
            p_run_no, p_policy_no, p_user_no, p_new_nos || p_known_nos, p_new_weights || p_known_weights, a.share
        ) as h
        where
            h.item_no = p_item_no and not exists (select from pooled)
            -- As in pinned_item and fallback.
            and not (p_is_pinned and recsql.is_published_for(p_run_no, p_user_no))
    )

    select p.component, p.contribution, p.is_sum from pooled as p
    union all
    select c.component, c.contribution, true from cold as c
    union all
    select 'new', 0, true
    where
        not exists (select from pooled) and not exists (select from cold)
        and not exists (
            select from recsql.item_popularity as n where n.run_no = p_run_no and n.item_no = p_item_no
        );
end;

comment on function recsql.item_part(
    integer, integer, integer, integer, text, integer [], double precision [], integer [], double precision [], boolean
) is
'What the score of an item is the sum of for a user: what is published and what the user did since, else what pool and fallback put in '
'place of it. p_is_pinned: whether a rule pins it (pinned_item). is_sum: whether the component is the sum over what evidence names.';
