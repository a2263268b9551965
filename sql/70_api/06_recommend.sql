-- recsql_api.recommend: best first.
create function recsql_api.recommend(
    p_user_id text,
    p_n integer default 10,
    p_domain text default null,
    p_filter jsonb default '{}',
    p_exclude text [] default '{}',
    p_context jsonb default '{}',
    p_slot text default 'default'
)
returns table (rank integer, item_id text, score double precision, reason text, request_id uuid)
language plpgsql
security definer
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_run_no integer;
    v_policy_no integer;
    v_user_no integer := (select u.user_no from app_user as u where u.user_id = p_user_id);
    v_context_no integer := (select i.item_no from item as i where i.item_id = p_context ->> 'item_id');
    v_request_id uuid := gen_random_uuid();
    v_exclude integer[] := array(
        select i.item_no from item as i where i.item_id = any (p_exclude || (p_context ->> 'item_id'))
    );
    v_seen integer[];
    v_item_nos integer[];
    v_scores double precision[];
    v_components text[];
    v_more integer;
    v_more_nos integer[];
    v_more_scores double precision[];
    v_more_components text[];
begin
    if p_n is null or p_n not between 1 and 1000 then
        raise exception 'p_n is %, but must be from 1 to 1000', coalesce(p_n::text, 'null')
            using errcode = 'RS002', hint = 'Ask for at most 1000 items.';
    end if;
    if jsonb_typeof(coalesce(p_filter, '{}')) <> 'object' then
        raise exception 'p_filter must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"genre": "Comedy"}: it must be contained in the item''s attributes.';
    end if;
    select r.run_no, r.policy_no into v_run_no, v_policy_no from release as r where r.slot = p_slot;
    v_seen := array(select e.item_no from new_event(v_run_no, v_user_no) as e);

    select array_agg(t.item_no), array_agg(t.score), array_agg(t.component)
    into v_item_nos, v_scores, v_components
    from (
        select
            p.item_no,
            p.score,
            (select k.key from jsonb_each_text(p.parts) as k order by k.value::double precision desc, k.key limit 1)
                as component
        from pool(v_run_no, v_policy_no, v_user_no, v_context_no) as p
        inner join item as i on i.item_no = p.item_no
        inner join domain as d on d.domain = i.domain
        where
            i.available
            and (p_domain is null or i.domain = p_domain)
            and i.attributes @> coalesce(p_filter, '{}')
            and p.item_no <> all (v_exclude)
            and (
                d.allows_repeat
                or (
                    p.item_no <> all (v_seen)
                    and not exists (
                        select from interaction as n
                        where n.run_no = v_run_no and n.user_no = v_user_no and n.item_no = p.item_no
                    )
                )
            )
        order by p.score desc, p.item_no
        limit p_n
    ) as t;

    v_more := p_n - coalesce(cardinality(v_item_nos), 0);
    if v_more > 0 then
        select array_agg(t.item_no), array_agg(t.score), array_agg(t.component)
        into v_more_nos, v_more_scores, v_more_components
        from (
            select f.item_no, f.score, f.component
            from fallback(v_run_no, v_policy_no) as f
            inner join item as i on i.item_no = f.item_no
            inner join domain as d on d.domain = i.domain
            where
                i.available
                and (p_domain is null or i.domain = p_domain)
                and i.attributes @> coalesce(p_filter, '{}')
                and f.item_no <> all (v_exclude)
                and f.item_no <> all (coalesce(v_item_nos, '{}'))
                and (
                    d.allows_repeat
                    or (
                        f.item_no <> all (v_seen)
                        and not exists (
                            select from interaction as n
                            where n.run_no = v_run_no and n.user_no = v_user_no and n.item_no = f.item_no
                        )
                    )
                )
            order by f.score desc, f.item_no
            limit v_more
        ) as t;
        v_item_nos := v_item_nos || v_more_nos;
        v_scores := v_scores || v_more_scores;
        v_components := v_components || v_more_components;
    end if;

    if v_item_nos is null then
        -- Everything is known: what the user saw longest ago is better than an empty list.
        select array_agg(t.item_no), array_agg(0::double precision), array_agg('seen'::text)
        into v_item_nos, v_scores, v_components
        from (
            select s.item_no
            from (
                select e.item_no, max(e.at) as at from event as e where e.user_no = v_user_no group by e.item_no
            ) as s
            inner join item as i on i.item_no = s.item_no
            where
                i.available
                and (p_domain is null or i.domain = p_domain)
                and i.attributes @> coalesce(p_filter, '{}')
                and s.item_no <> all (v_exclude)
            order by s.at, s.item_no
            limit p_n
        ) as t;
    end if;

    return query
    select
        (row_number() over (order by t.score desc, t.position))::integer,
        i.item_id,
        t.score,
        reason(v_run_no, v_user_no, t.item_no, t.component),
        v_request_id
    from unnest(v_item_nos, v_scores, v_components) with ordinality as t (item_no, score, component, position)
    inner join item as i on i.item_no = t.item_no
    order by t.score desc, t.position;
end
$$;

comment on function recsql_api.recommend(text, integer, text, jsonb, text [], jsonb, text) is
'Recommends items to a user, best first. p_n: 1 to 1000; p_domain: only items of this domain; p_filter: JSON object that the '
'item''s attributes must contain; p_exclude: item ids to leave out; p_context: {"item_id": …} for the item in view; p_slot: '
'which release. Gives rank from 1, item_id, score (higher is better), a reason to show, and a request_id to log impressions '
'under. What the user did since the last run counts at once. An unknown user gets what is trending; a user who knows '
'everything gets what was seen longest ago; a filter that nothing matches gives no row. Errors: RS002 for arguments out of range.';
