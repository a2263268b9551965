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
    p_log boolean default false,
    p_diversity double precision default null,
    p_novelty double precision default null
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
    v_variant variant := (select v from experiment_variant(p_slot, p_user_id) as v);
    v_slot text := coalesce(v_variant.slot, p_slot);
    v_explore double precision;
    v_is_logged boolean := coalesce(p_log, false) or coalesce(p_explore, 0) > 0;
    -- In force, those that go first first.
    v_rules rule[] := array(
        select r from rule_in_force(p_slot, p_user_id, v_variant.add_rules, v_variant.drop_rules) as r
    );
    v_kinds text[] := '{}';
    v_rule_path jsonpath;
    v_rule_vars jsonb;
    v_controls jsonb;
    v_is_ordered boolean;
    v_is_reordered boolean;
    v_pinned_nos integer[] := '{}';
    v_pinned_rules text[];
    v_pinned_at integer[];
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
    v_effective double precision[];
    v_pool_nos integer[];
    v_pool_scores double precision[];
    v_n_free integer;
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
    if not coalesce(p_diversity, 0) between 0 and 1 then
        perform check_strength('p_diversity', p_diversity);
    end if;
    if not coalesce(p_novelty, 0) between 0 and 1 then
        perform check_strength('p_novelty', p_novelty);
    end if;
    if cardinality(p_exclude) > 10000 then
        raise exception 'p_exclude has % ids, but at most 10000 are taken', cardinality(p_exclude)
            using errcode = 'RS002', hint = 'Filter by an attribute, or record as events what the user had.';
    end if;
    v_controls := slot_control(
        p_slot, coalesce(v_variant.controls, '{}') || jsonb_strip_nulls(jsonb_build_object('diversity', p_diversity, 'novelty', p_novelty))
    );
    if cardinality(v_rules) > 0 then
        v_kinds := array(select distinct r.kind from unnest(v_rules) as r);
        select f.path, f.vars into v_rule_path, v_rule_vars from rule_filter(v_rules) as f;
    end if;
    v_is_reordered := v_controls is not null or 'promote' = any (v_kinds);
    select r.run_no, r.policy_no into v_run_no, v_policy_no from release as r where r.slot = v_slot;
    select q.* into v_ranking
    from release as r
    inner join ranking_policy as q on q.ranking_policy_no = r.ranking_policy_no
    where r.slot = v_slot;
    -- What a policy explores by itself is for requests that are logged: it may not write where nobody asked it to.
    v_explore := coalesce(
        p_explore, case when v_ranking.kind = 'uniform' then 1 when p_log then v_ranking.explore end, 0
    );
    if v_explore < 1e-9 then
        v_explore := 0;
    end if;
    -- Whether more than the score says what is shown.
    v_is_ordered := v_is_logged or v_ranking.ranking_policy_no is not null or v_controls is not null
        or not v_kinds <@ '{filter,pin}';
    if v_is_ordered then
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

    if 'pin' = any (v_kinds) then
        select coalesce(array_agg(p.item_no order by p.position), '{}'), array_agg(p.rule order by p.position),
            coalesce(array_agg(p.position order by p.position), '{}')
        into v_pinned_nos, v_pinned_rules, v_pinned_at
        from rule_pin(
            array(
                select r
                from unnest(v_rules) as r
                cross join lateral (
                    select
                    from eligible_item(
                        v_run_no, v_user_no, v_new_nos, p_domain, v_filter, v_exclude, v_rule_path, v_rule_vars
                    ) as e
                    where e.item_no = r.item_no
                    limit 1
                ) as e
            ), p_n
        ) as p;
        v_n_pool := v_n_pool + cardinality(v_pinned_nos);
    end if;

    if exists (select from newcomer(v_run_no)) then
        v_taste := content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights);
    end if;
    -- What is published was ranked for domains that the user is at home in: of one that is new it holds little but what is popular.
    select coalesce(array_agg(p.item_no), '{}'), coalesce(array_agg(p.parts), '{}')
    into v_item_nos, v_parts
    from pool(
        v_run_no, v_policy_no, v_user_no, v_new_nos, v_new_weights, v_context_no, p_domain, v_filter, v_exclude, v_n_pool,
        v_taste, v_rule_path, v_rule_vars, v_pinned_nos
    ) as p
    where v_context_no is not null or not is_new_domain(p_domain, v_new_nos || v_known_nos);

    if not v_pinned_nos <@ v_item_nos then
        v_taste := coalesce(v_taste, content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights));
        select v_item_nos || array_agg(i.item_no), v_parts || array_agg(i.parts)
        into v_item_nos, v_parts
        from pinned_item(
            v_run_no, v_policy_no, v_user_no, v_new_nos || v_known_nos, v_new_weights || v_known_weights, v_taste, v_pinned_nos,
            v_pinned_rules
        ) as i
        where i.item_no <> all (v_item_nos);
    end if;

    -- What is cut out of a pool must leave enough of it.
    if cardinality(v_item_nos) < (case when v_kinds && '{cap,promote}' then v_n_pool else p_n end) then
        v_taste := coalesce(v_taste, content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights));
        select v_item_nos || array_agg(f.item_no), v_parts || array_agg(f.parts)
        into v_item_nos, v_parts
        from fallback(
            v_run_no, v_policy_no, v_user_no, v_new_nos, p_domain, v_filter, v_exclude || v_item_nos,
            v_n_pool - cardinality(v_item_nos), v_new_nos || v_known_nos, v_new_weights || v_known_weights, v_taste,
            v_rule_path, v_rule_vars, array(select r.item_no from unnest(v_rules) as r where r.kind = 'pin')
        ) as f;
    end if;

    if v_item_nos <@ v_pinned_nos then
        -- Everything is known: what the user saw longest ago is better than an empty list.
        select v_item_nos || coalesce(array_agg(t.item_no), '{}'), v_parts || coalesce(array_agg('{"seen": 0}'::jsonb), '{}')
        into v_item_nos, v_parts
        from (
            select s.item_no
            from (
                select e.item_no, max(e.at) as at from event as e where e.user_no = v_user_no group by e.item_no
            ) as s
            inner join eligible_item(
                null, null, '{}', p_domain, v_filter, v_exclude, v_rule_path, v_rule_vars
            ) as e on e.item_no = s.item_no
            where s.item_no <> all (v_item_nos)
            order by s.at, s.item_no
            limit p_n
        ) as t;
    end if;

    select array_agg(c.component order by c.place), array_agg(c.score order by c.place)
    into v_components, v_scores
    from main_component(v_parts) as c;
    if v_item_nos = '{}' and v_rule_path is not null then
        raise warning 'nothing is left within the rules that filter: %', (
            select string_agg(r.rule, ', ') from unnest(v_rules) as r where r.kind = 'filter'
        );
    end if;
    if v_kinds && '{boost,bury,freshness}' then
        v_scores := array(
            select s.score + coalesce(sum(p.contribution), 0)
            from unnest(v_scores) with ordinality as s (score, place)
            left join rule_part(v_rules, v_item_nos, v_scores) as p on p.place = s.place
            group by s.place, s.score
            order by s.place
        );
    end if;

    if v_is_ordered or v_pinned_nos <> '{}' then
        select coalesce(array_agg(i.place order by i.place), '{}'), coalesce(array_agg(i.item_no order by i.place), '{}'),
            coalesce(array_agg(i.score order by i.place), '{}')
        into v_order, v_pool_nos, v_pool_scores
        from unnest(v_item_nos, v_scores) with ordinality as i (item_no, score, place)
        where i.item_no <> all (v_pinned_nos);
        select coalesce(array_agg(v_order[o.place] order by o.rank), '{}'), coalesce(array_agg(v_pool_nos[o.place] order by o.rank), '{}'),
            coalesce(array_agg(v_pool_scores[o.place] order by o.rank), '{}')
        into v_order, v_pool_nos, v_pool_scores
        from unnest(
            ordered_pool(v_ranking.ranking_policy_no, v_run_no, v_user_no, v_pool_nos, v_pool_scores)
        ) with ordinality as o (place, rank);
        if v_is_reordered or 'cap' = any (v_kinds) then
            v_effective := reordered(v_run_no, v_user_no, p_slot, v_controls, v_pool_nos, v_pool_scores, p_n);
            v_effective := capped(v_rules, v_pinned_nos, v_pool_nos, v_effective, p_n);
            v_effective := promoted(v_rules, v_pinned_nos, v_pool_nos, v_effective, p_n);
            select coalesce(array_agg(v_order[e.place] order by e.score desc), '{}'),
                coalesce(array_agg(v_pool_nos[e.place] order by e.score desc), '{}'),
                coalesce(array_agg(v_pool_scores[e.place] order by e.score desc), '{}')
            into v_order, v_pool_nos, v_pool_scores
            from unnest(v_effective) with ordinality as e (score, place)
            where e.score is not null;
        end if;
        v_n_free := p_n - cardinality(v_pinned_nos);
        -- Where more than the posterior orders the pool, its mean does, and chance is exploration's alone.
        if v_is_logged and not v_is_reordered
            and exists (select from bandit as b where b.ranking_policy_no = v_ranking.ranking_policy_no and b.draws <> '{}')
        then
            select array_agg(array_position(v_item_nos, e.item_no) order by e.place),
                array_agg(e.propensity order by e.place), array_agg(e.conditional order by e.place)
            into v_order, v_propensities, v_conditionals
            from bandit_explored(
                v_ranking.ranking_policy_no, v_user_no, v_pool_nos, v_pool_scores, v_request_id, v_n_free, v_explore
            ) as e;
        elsif v_explore > 0 then
            select array_agg(v_order[e.rank] order by e.place), array_agg(e.propensity order by e.place),
                array_agg(e.conditional order by e.place)
            into v_order, v_propensities, v_conditionals
            from explored(v_request_id, cardinality(v_order), v_n_free, v_explore) as e;
        else
            v_order := v_order[: v_n_free];
            v_propensities := array_fill(1, array[cardinality(v_order)]);
            v_conditionals := v_propensities;
        end if;
        if v_pinned_nos <> '{}' then
            v_order := inserted(
                v_order,
                array(
                    select array_position(v_item_nos, p.item_no)
                    from unnest(v_pinned_nos) with ordinality as p (item_no, nth)
                    order by p.nth
                ),
                v_pinned_at
            );
            v_propensities := inserted(v_propensities, array_fill(1.0::double precision, array[cardinality(v_pinned_nos)]), v_pinned_at);
            v_conditionals := inserted(v_conditionals, array_fill(1.0::double precision, array[cardinality(v_pinned_nos)]), v_pinned_at);
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
                    v_explore, p_domain, v_pool_nos, v_pool_scores::real[], now(),
                    request_control(v_controls, v_rules, v_item_nos, v_pinned_nos),
                    v_variant.variant_no
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
    text, integer, text, jsonb, text [], jsonb, text, double precision, boolean, double precision, double precision
) is
'Recommends items to a user, best first. p_user_id: any, also one that is not known yet; p_n: 1 to 1000; p_domain: only items '
'of this domain, null for all (of an unknown domain there are none); p_filter: JSON object that the item''s attributes must '
'contain, as {"genre": "Comedy"}; p_exclude: item ids to leave out; p_context: {"item_id": …} for the item in view, ignored '
'where it is unknown, {"language": "de"} for that of the reasons (else the user''s attribute language, else en); p_slot: which release, '
'one that serves nothing gives new items, and one in which an experiment runs what the user''s variant says; p_explore: from 0 to 1, the probability with '
'which a place goes to an item drawn uniformly from what is left of the best 5 × p_n, in place of the best of them (null: what the promoted '
'policy says where p_log is true, else 0); p_log: whether to note the request, what it chose from, and what it shows at which '
'propensity; exploring always does; p_diversity, p_novelty: from 0 to 1, how unlike each other the items are to be by content (recsql.diversified), '
'and how much what few users had is preferred (recsql.novel); null: what the slot''s row of recsql.control says. The rules of the owner '
'(recsql.rule) that are in force hold. Gives rank from 1, item_id, score '
'(higher is better; no unit, to be compared within one answer only; rank is by score unless a policy, a control or a rule orders otherwise, or something is '
'explored), a reason to show, and a request_id, under which impressions are logged and outcomes are recorded. What the user did since the '
'last run counts at once, and so do new items, by what they are like. An unknown user gets what is '
'trending, one who has nothing yet in p_domain what is trending there and like what he had elsewhere; a user who knows '
'everything gets what was seen longest ago; a filter that nothing matches gives no row, and where that is a rule''s '
'a warning. Errors: RS002 p_n, p_filter, p_exclude (more than 10,000 ids), p_explore, p_diversity or p_novelty '
'out of range, or what is logged has a malformed user id or no slot; 42501 logging by an account without recsql_writer.';
