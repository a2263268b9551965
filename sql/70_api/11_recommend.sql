-- recsql_api.recommend: best first.
create function recsql_api.recommend(
    p_user_id text,
    p_n integer default 10,
    p_domain text default null,
    p_filter jsonb default '{}',
    p_exclude text [] default '{}',
    p_context jsonb default '{}',
    p_slot text default 'default',
    p_explore double precision default null,
    p_log boolean default false
)
returns table (rank integer, item_id text, score double precision, reason text, request_id uuid)
language plpgsql
security definer
set search_path = recsql, public, pg_temp
-- Planning takes longer than answering, and every list here is short.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_run_no integer;
    v_policy_no integer;
    v_ranking ranking_policy;
    v_explore double precision;
    v_is_logged boolean := coalesce(p_log, false) or coalesce(p_explore, 0) > 0;
    v_n_pool integer := p_n;
    v_user app_user := (select u from app_user as u where u.user_id = p_user_id);
    v_user_no integer := v_user.user_no;
    v_language text := coalesce(p_context ->> 'language', v_user.attributes ->> 'language', 'en');
    v_context_no integer := (select i.item_no from item as i where i.item_id = p_context ->> 'item_id');
    v_request_id uuid := gen_random_uuid();
    v_exclude integer[] := array(
        select i.item_no from item as i where i.item_id = any (p_exclude || (p_context ->> 'item_id'))
    );
    v_filter jsonb := nullif(p_filter, '{}');
    v_new_nos integer[];
    v_new_weights double precision[];
    v_known_nos integer[];
    v_known_weights double precision[];
    v_taste item_embedding.embedding%type;
    v_item_nos integer[];
    v_parts jsonb[];
    v_components text[];
    v_scores double precision[];
    v_order integer[];
    v_pool_nos integer[];
    v_pool_scores double precision[];
    v_propensities double precision[];
    v_conditionals double precision[];
begin
    perform check_n(p_n);
    if jsonb_typeof(v_filter) <> 'object' then
        raise exception 'p_filter must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"genre": "Comedy"}: it must be contained in the item''s attributes.';
    end if;
    if not coalesce(p_explore, 0) between 0 and 1 then
        raise exception 'p_explore must be from 0 to 1, not %', p_explore
            using errcode = 'RS002', hint = '0.1 gives one place in ten to an item drawn from the pool.';
    end if;
    select r.run_no, r.policy_no into v_run_no, v_policy_no from release as r where r.slot = p_slot;
    select q.* into v_ranking
    from release as r
    inner join ranking_policy as q on q.ranking_policy_no = r.ranking_policy_no
    where r.slot = p_slot;
    -- What a policy explores by itself is for requests that are logged: it may not write where nobody asked it to.
    v_explore := coalesce(
        p_explore, case when v_ranking.kind = 'uniform' then 1 when p_log then v_ranking.explore end, 0
    );
    if v_explore < 1e-9 then
        v_explore := 0;
    end if;
    if v_is_logged or v_ranking.ranking_policy_no is not null then
        v_n_pool := greatest(p_n, least(5 * p_n, 1000));
    end if;
    if v_is_logged then
        perform check_writer();
        if p_slot is null then
            raise exception 'p_slot must be the name of a slot'
                using errcode = 'RS002', hint = 'Leave it out for the slot named default.';
        end if;
        if v_user_no is null and not is_valid_id(p_user_id) then
            raise exception 'malformed user id'
                using errcode = 'RS002', hint = '1 to 200 characters, no control characters, not starting with a minus sign.';
        end if;
    end if;

    select coalesce(array_agg(e.item_no), '{}'), coalesce(array_agg(e.weight), '{}')
    into v_new_nos, v_new_weights
    from new_event(v_run_no, v_user_no) as e;
    select coalesce(array_agg(h.item_no), '{}'), coalesce(array_agg(h.weight), '{}')
    into v_known_nos, v_known_weights
    from known_item(v_run_no, v_user_no) as h;

    if exists (select from newcomer(v_run_no)) then
        v_taste := content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights);
    end if;
    -- What is published was ranked for domains that the user is at home in: of one that is new it holds little but what is popular.
    select coalesce(array_agg(p.item_no), '{}'), coalesce(array_agg(p.parts), '{}')
    into v_item_nos, v_parts
    from pool(
        v_run_no, v_policy_no, v_user_no, v_new_nos, v_new_weights, v_context_no, p_domain, v_filter, v_exclude, v_n_pool,
        v_taste
    ) as p
    where v_context_no is not null or not is_new_domain(p_domain, v_new_nos || v_known_nos);

    if cardinality(v_item_nos) < p_n then
        v_taste := coalesce(v_taste, content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights));
        select v_item_nos || array_agg(f.item_no), v_parts || array_agg(f.parts)
        into v_item_nos, v_parts
        from fallback(
            v_run_no, v_policy_no, v_user_no, v_new_nos, p_domain, v_filter, v_exclude || v_item_nos,
            v_n_pool - cardinality(v_item_nos), v_new_nos || v_known_nos, v_new_weights || v_known_weights, v_taste
        ) as f;
    end if;

    if v_item_nos = '{}' then
        -- Everything is known: what the user saw longest ago is better than an empty list.
        select array_agg(t.item_no), array_agg('{"seen": 0}'::jsonb)
        into v_item_nos, v_parts
        from (
            select s.item_no
            from (
                select e.item_no, max(e.at) as at from event as e where e.user_no = v_user_no group by e.item_no
            ) as s
            inner join eligible_item(null, null, '{}', p_domain, v_filter, v_exclude) as e on e.item_no = s.item_no
            order by s.at, s.item_no
            limit p_n
        ) as t;
    end if;

    select array_agg(c.component order by c.place), array_agg(c.score order by c.place)
    into v_components, v_scores
    from main_component(v_parts) as c;

    if v_n_pool > p_n or v_is_logged or v_explore > 0 then
        v_order := ordered_pool(v_ranking.ranking_policy_no, v_run_no, v_user_no, v_item_nos, v_scores);
        select array_agg(v_item_nos[o.place] order by o.rank), array_agg(v_scores[o.place] order by o.rank)
        into v_pool_nos, v_pool_scores
        from unnest(v_order) with ordinality as o (place, rank);
        if v_is_logged
            and exists (select from bandit as b where b.ranking_policy_no = v_ranking.ranking_policy_no and b.draws <> '{}')
        then
            select array_agg(array_position(v_item_nos, e.item_no) order by e.place),
                array_agg(e.propensity order by e.place), array_agg(e.conditional order by e.place)
            into v_order, v_propensities, v_conditionals
            from bandit_explored(
                v_ranking.ranking_policy_no, v_user_no, v_pool_nos, v_pool_scores, v_request_id, p_n, v_explore
            ) as e;
        elsif v_explore > 0 then
            select array_agg(v_order[e.rank] order by e.place), array_agg(e.propensity order by e.place),
                array_agg(e.conditional order by e.place)
            into v_order, v_propensities, v_conditionals
            from explored(v_request_id, cardinality(v_order), p_n, v_explore) as e;
        else
            v_order := v_order[: p_n];
            v_propensities := array_fill(1, array[cardinality(v_order)]);
            v_conditionals := v_propensities;
        end if;
        select array_agg(v_item_nos[o.place] order by o.position), array_agg(v_scores[o.place] order by o.position),
            array_agg(v_components[o.place] order by o.position)
        into v_item_nos, v_scores, v_components
        from unnest(v_order) with ordinality as o (place, position);
        if v_is_logged and v_item_nos <> '{}' then
            if v_user_no is null then
                insert into app_user (user_id) values (p_user_id) on conflict do nothing;
                select u.user_no into v_user_no from app_user as u where u.user_id = p_user_id;
            end if;
            perform log_request(
                row(
                    v_request_id, v_user_no, p_slot, v_run_no,
                    coalesce(
                        v_ranking.policy,
                        (select f.policy from fusion_policy as f where f.policy_no = v_policy_no), 'no release'
                    ),
                    v_explore, p_domain, v_pool_nos, v_pool_scores::real[], now()
                ),
                v_item_nos, v_propensities, v_conditionals
            );
        end if;
    else
        select array_agg(o.item_no order by o.score desc, o.position), array_agg(o.score order by o.score desc, o.position),
            array_agg(o.component order by o.score desc, o.position)
        into v_item_nos, v_scores, v_components
        from unnest(v_item_nos, v_scores, v_components) with ordinality as o (item_no, score, component, position);
    end if;

    return query
    select
        t.position::integer,
        i.item_id,
        t.score,
        phrase(t.component, w.template, h.template, coalesce(o.title, o.item_id)),
        v_request_id
    from unnest(v_item_nos, v_scores, v_components) with ordinality as t (item_no, score, component, position)
    inner join item as i on i.item_no = t.item_no
    cross join lateral wording(v_language, component_key(t.component)) as w
    cross join wording(v_language, 'history') as h
    left join (
        select distinct on (e.item_no) e.item_no, e.evidence_no
        from evidence(
            v_run_no, v_known_nos, v_known_weights, v_new_nos, v_new_weights, v_context_no, v_item_nos, v_components
        ) as e
        order by e.item_no, e.score desc, e.evidence_no
    ) as e on e.item_no = t.item_no
    left join item as o on o.item_no = e.evidence_no
    order by t.position;
end
$$;

comment on function recsql_api.recommend(
    text, integer, text, jsonb, text [], jsonb, text, double precision, boolean
) is
'Recommends items to a user, best first. p_user_id: any, also one that is not known yet; p_n: 1 to 1000; p_domain: only items '
'of this domain, null for all (of an unknown domain there are none); p_filter: JSON object that the item''s attributes must '
'contain, as {"genre": "Comedy"}; p_exclude: item ids to leave out; p_context: {"item_id": …} for the item in view, ignored '
'where it is unknown, {"language": "de"} for that of the reasons (else the user''s attribute language, else en); p_slot: which release, one that serves nothing gives new items; p_explore: from 0 to 1, the probability with '
'which a place goes to an item drawn uniformly from what is left of the best 5 × p_n, in place of the best of them (null: what the promoted '
'policy says where p_log is true, else 0); p_log: whether to note the request, what it chose from, and what it shows at which '
'propensity; exploring always does. Gives rank from 1, item_id, score '
'(higher is better; no unit, to be compared within one answer only; rank is by score unless a policy is promoted or something is '
'explored), a reason to show, and a request_id, under which impressions are logged and outcomes are recorded. What the user did since the '
'last run counts at once, and so do new items, by what they are like. An unknown user gets what is '
'trending, one who has nothing yet in p_domain what is trending there and like what he had elsewhere; a user who knows '
'everything gets what was seen longest ago; a filter that nothing matches gives no row. Errors: RS002 p_n, p_filter or p_explore '
'out of range, or what is logged has a malformed user id or no slot; 42501 logging by an account without recsql_writer.';
