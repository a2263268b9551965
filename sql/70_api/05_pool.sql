-- recsql.pool: best first.
create function recsql.pool(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_new_nos integer [],
    p_new_weights double precision [],
    p_context_no integer,
    p_domain text,
    p_filter jsonb,
    p_exclude integer [],
    p_n integer,
    p_taste vector default null,
    p_rule_path jsonpath default null,
    p_rule_vars jsonb default null,
    p_pinned_nos integer [] default '{}'
)
returns table (item_no integer, parts jsonb)
language sql
stable
begin atomic
    with fresh as materialized (
        select f.component, f.source_no, f.item_no, f.weight
        from recsql.fresh_weight(p_run_no, p_policy_no, p_user_no, p_new_nos, p_new_weights, p_context_no) as f
        -- Nothing is published to add to: then fallback weighs what the user did against what is trending.
        where p_context_no is not null or (select recsql.is_published_for(p_run_no, p_user_no))
    ),

    near as materialized (
        select n.component, n.item_no, sum(n.weight * n.similarity) as contribution
        from (
            select f.component, f.weight, unnest(s.neighbour_nos) as item_no, unnest(s.similarities) as similarity
            from fresh as f
            inner join recsql.item_similarity as s
                on s.run_no = p_run_no and s.source_no = f.source_no and s.item_no = f.item_no
        ) as n
        group by n.component, n.item_no
        union all
        select 'cold content', c.item_no, c.contribution
        from recsql.newcomer_part(p_run_no, p_user_no, p_taste) as c
    ),

    scored as (
        select
            coalesce(r.item_no, n.item_no) as item_no,
            coalesce(r.score, 0) + coalesce(n.score, 0) as score,
            coalesce(r.parts, '{}') as parts
        from (
            select p.item_no, p.score::double precision as score, p.parts
            from recsql.recommendation as p
            where p.run_no = p_run_no and p.user_no = p_user_no
        ) as r
        full join (
            select s.item_no, sum(s.contribution) as score from near as s group by s.item_no
        ) as n on n.item_no = r.item_no
    ),

    -- One by one from the best, so that looking ends with the p_n-th eligible item; limit 1 keeps it from becoming a join
    -- with the whole catalogue.
    best as (
        select s.item_no, s.score, s.parts
        from (
            select c.*, c.item_no = any(p_pinned_nos) as is_pinned
            from scored as c
            order by is_pinned desc, c.score desc, c.item_no
        ) as s
        cross join lateral (
            select e.item_no
            from recsql.eligible_item(
                p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude, p_rule_path, p_rule_vars
            ) as e
            where e.item_no = s.item_no
            limit 1
        ) as e
        order by s.is_pinned desc, s.score desc, s.item_no
        limit p_n
    )

    select b.item_no, b.parts || coalesce(n.parts, '{}')
    from best as b
    left join (
        select a.item_no, jsonb_object_agg(a.component, a.contribution) as parts
        from near as a
        where a.item_no in (select c.item_no from best as c)
        group by a.item_no
    ) as n on n.item_no = b.item_no
    order by b.score desc, b.item_no;
end;

comment on function recsql.pool(
    integer, integer, integer, integer [], double precision [], integer, text, jsonb, integer [], integer, vector, jsonpath, jsonb, integer []
) is
'The p_n best eligible items of which something is known for the user, with what each component adds to the score: what is '
'published, what the user did since (live …), what is near to the item in view (context …), and, where p_taste is given, newcomers that '
'are like it (newcomer_part). Those of p_pinned_nos are among them, whatever their score; p_rule_path, p_rule_vars: see eligible_item.';
