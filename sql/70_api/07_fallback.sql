-- recsql.fallback: best first.
create function recsql.fallback(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_new_nos integer [],
    p_domain text,
    p_filter jsonb,
    p_exclude integer [],
    p_n integer,
    p_had_nos integer [] default '{}',
    p_had_weights double precision [] default '{}',
    p_taste vector default null,
    p_rule_path jsonpath default null,
    p_rule_vars jsonb default null,
    p_pinned_nos integer [] default '{}'
)
returns table (item_no integer, parts jsonb)
language plpgsql
stable
set search_path = recsql, public, pg_temp
-- Only a plan that knows the filter can choose between the index of trends and that of attributes.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    v_rows integer;
    v_share double precision := personal_share(p_run_no, p_user_no, p_had_weights);
    v_near_nos integer[];
    v_near_components text[];
    v_near_contributions double precision[];
    v_item_nos integer[] := array(
        select t.item_no
        from trend_part(p_run_no, p_policy_no, 1) as t
        inner join eligible_item(
            p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude, p_rule_path, p_rule_vars
        ) as e
            on e.item_no = t.item_no
        order by t.trend desc, t.item_no
        limit p_n
    );
begin
    if p_had_nos <> '{}' then
        select array_agg(h.item_no), array_agg(h.component), array_agg(h.contribution)
        into v_near_nos, v_near_components, v_near_contributions
        from history_part(p_run_no, p_policy_no, p_user_no, p_had_nos, p_had_weights, v_share) as h;
        -- One by one from the best, as in pool.
        v_item_nos := v_item_nos || array(
            select s.item_no
            from (
                select h.item_no, sum(h.contribution) as score
                from unnest(v_near_nos, v_near_contributions) as h (item_no, contribution)
                group by h.item_no
                order by score desc, h.item_no
            ) as s
            cross join lateral (
                select from eligible_item(
                    p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude, p_rule_path, p_rule_vars
                ) as e
                where e.item_no = s.item_no
                limit 1
            ) as e
            order by s.score desc, s.item_no
            limit p_n
        );
    end if;
    if p_taste is not null then
        v_item_nos := v_item_nos || array(
            select e.item_no
            from content_space as c
            cross join lateral nearest_items(
                'item_embedding_' || c.space_no, p_taste, case when p_rule_path is null then p_n else 5 * p_n end, p_domain,
                coalesce(p_filter, '{}'),
                p_exclude || p_new_nos || array(
                    select k.item_no from interaction as k where k.run_no = p_run_no and k.user_no = p_user_no
                )
            ) as e
            where
                -- What is unlike all that the user had is left to the items without events.
                e.similarity > 0
                and (
                    p_rule_path is null
                    or exists (select from item as i where i.item_no = e.item_no and is_match(i, p_rule_path, p_rule_vars))
                )
            order by e.similarity desc, e.item_no
            limit p_n
        );
    end if;
    return query
    select c.item_no, jsonb_object_agg(c.component, c.contribution)
    from (
        select h.item_no, h.component, h.contribution
        from unnest(v_near_nos, v_near_components, v_near_contributions) as h (item_no, component, contribution)
        where
            h.item_no = any(v_item_nos)
            -- As in pinned_item: a pin that lies behind the end of the list is worth what it is worth at its position.
            and not (h.item_no = any(p_pinned_nos) and is_published_for(p_run_no, p_user_no))
        union all
        select p.item_no, p.component, p.contribution
        from cold_part(p_run_no, p_policy_no, p_taste, v_share, v_item_nos) as p
    ) as c
    group by c.item_no
    order by sum(c.contribution) desc, c.item_no
    limit p_n;
    get diagnostics v_rows = row_count;
    if v_rows < p_n then
        return query
        select e.item_no, '{"new": 0}'::jsonb
        from eligible_item(
            p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude, p_rule_path, p_rule_vars
        ) as e
        where
            e.item_no <> all (v_item_nos)
            and not exists (select from item_popularity as p where p.run_no = p_run_no and p.item_no = e.item_no)
        order by e.published_at desc nulls last, e.item_no
        limit p_n - v_rows;
    end if;
end
$$;

comment on function recsql.fallback(
    integer, integer, integer, integer [], text, jsonb, integer [], integer, integer [], double precision [], vector, jsonpath, jsonb, integer []
) is
'The p_n best eligible items where nothing is published for the user: of what is trending, what is used by the same people as what '
'the user had (p_had_nos, the newest first, here of all domains), and what is nearest to p_taste (content_taste; null where nothing '
'is known of the user) those of which all together say most (personal_share), then items without events, the newest first. p_rule_path, '
'p_rule_vars: see eligible_item. p_pinned_nos: items that rules pin, of which pinned_item says what they are worth.';
