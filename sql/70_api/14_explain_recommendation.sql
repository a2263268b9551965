-- recsql_api.explain_recommendation: first the events without which the item would fall furthest, last what a request tells.
create function recsql_api.explain_recommendation(
    p_user_id text,
    p_item_id text,
    p_slot text default 'default',
    p_domain text default null,
    p_request_id uuid default null,
    p_language text default null
)
returns table (
    component text, evidence_item_id text, evidence_at timestamptz, contribution double precision, explanation text, rank_without integer
)
language plpgsql
stable
security definer
set search_path = recsql, public, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_run_no integer;
    v_policy_no integer;
    v_user app_user := (select u from app_user as u where u.user_id = p_user_id);
    v_user_no integer := v_user.user_no;
    v_language text := coalesce(p_language, v_user.attributes ->> 'language', 'en');
    v_item_no integer := (select i.item_no from item as i where i.item_id = p_item_id);
    v_variant variant := (select v from experiment_variant(p_slot, p_user_id) as v);
    v_rules rule[] := array(
        select r from rule_in_force(p_slot, p_user_id, v_variant.add_rules, v_variant.drop_rules) as r
    );
    v_new_nos integer[];
    v_new_weights double precision[];
    v_known_nos integer[];
    v_known_weights double precision[];
begin
    if v_item_no is null then
        raise exception 'there is no item %', p_item_id
            using errcode = 'RS001', hint = 'Item ids are those of recsql_api.upsert_item and of the loaded files.';
    end if;
    if p_request_id is not null
        and not exists (select from request as r where r.request_id = p_request_id and r.user_no = v_user_no)
    then
        raise exception 'there is no request % of user %', p_request_id, p_user_id
            using errcode = 'RS001', hint = 'Requests are kept of recommend() with p_log => true or p_explore.';
    end if;
    select r.run_no, r.policy_no into v_run_no, v_policy_no
    from release as r
    where r.slot = coalesce(v_variant.slot, p_slot);
    select coalesce(array_agg(e.item_no), '{}'), coalesce(array_agg(e.weight), '{}')
    into v_new_nos, v_new_weights
    from new_event(v_run_no, v_user_no) as e;
    select coalesce(array_agg(h.item_no), '{}'), coalesce(array_agg(h.weight), '{}')
    into v_known_nos, v_known_weights
    from known_item(v_run_no, v_user_no) as h;
    return query
    with said as materialized (
        select p.component, p.contribution, p.is_sum
        from item_part(
            v_run_no, v_policy_no, v_user_no, v_item_no, p_domain, v_known_nos, v_known_weights, v_new_nos, v_new_weights,
            exists (select from unnest(v_rules) as r where r.kind = 'pin' and r.item_no = v_item_no)
        ) as p
    ),

    part as materialized (
        select s.component, s.contribution, s.is_sum from said as s
        union all
        select r.component, r.contribution, true
        from rule_part(v_rules, array[v_item_no], array(select sum(s.contribution) from said as s)) as r
        union all
        select 'rule ' || r.rule, 0, true
        from unnest(v_rules) as r
        where r.kind = 'pin' and r.item_no = v_item_no
    ),

    heard as (
        select e.component, e.evidence_no, e.score,
            sum(e.score) over (partition by e.component) as total,
            row_number() over (partition by e.component order by e.score desc, e.evidence_no) as nth
        from evidence(
            v_run_no, v_known_nos, v_known_weights, v_new_nos, v_new_weights, null,
            array(select v_item_no from part), array(select component from part)
        ) as e
        where e.score <> 0
    ),

    piece as materialized (
        select p.component, h.evidence_no, p.contribution * case when p.is_sum then h.score / h.total else 1 end as contribution,
            'exact' as way
        from part as p
        inner join heard as h on h.component = p.component
        where h.total * p.contribution > 0 and (p.is_sum or h.nth = 1)
        union all
        select p.component, o.evidence_no, p.contribution * o.share, 'occlusion'
        from part as p
        inner join occlusion(v_run_no, v_policy_no, v_user_no, array[v_item_no]) as o on o.component = p.component
    ),

    rest as (
        select p.component, p.contribution - coalesce(sum(c.contribution), 0) as contribution, count(c.component) > 0 as is_divided
        from part as p
        left join piece as c on c.component = p.component
        group by p.component, p.contribution
    ),

    told as (
        select c.component, c.evidence_no, c.contribution, null as value, false as is_note,
            case
                when c.way = 'exact' then case when c.contribution < 0 then 'against' end
                when c.contribution < 0 then 'occlusion_against'
                else 'occlusion'
            end as clause
        from piece as c
        union all
        select r.component, null, r.contribution, null, false,
            case
                when r.is_divided then 'rest'
                when o.kind = 'score' or (o.kind = 'vector' and o.history_length is null) then 'undivided'
            end
        from rest as r
        left join source as o on o.source = component_key(r.component)
        where not r.is_divided or abs(r.contribution) > 1e-9
        union all
        select n.component, null, 0, n.value, true, null
        from request_note(p_request_id, v_user_no, v_item_no) as n
    ),

    ranked as materialized (
        select r.evidence_no, r.rank
        from rank_without(
            v_run_no, v_policy_no, v_user_no, v_item_no, v_known_nos, v_known_weights, v_new_nos[: 20], v_new_weights[: 20]
        ) as r
        where not is_new_domain(p_domain, v_new_nos || v_known_nos)
    ),

    had as (
        select e.item_no, max(e.at) as at from event as e where e.user_no = v_user_no group by e.item_no
    )

    select
        t.component,
        i.item_id,
        h.at,
        t.contribution,
        case
            when t.clause is not null
                then replace(
                    replace(x.template, '{reason}', phrase(t.component, w.template, y.template, null)),
                    '{title}', coalesce(i.title, i.item_id, '')
                )
            else replace(
                phrase(t.component, w.template, y.template, coalesce(i.title, i.item_id)), '{value}', coalesce(t.value, '')
            )
        end,
        d.rank
    from told as t
    cross join lateral wording(
        v_language,
        component_key(t.component) || case when starts_with(t.component, 'rule ') and t.contribution < 0 then '_against' else '' end
    ) as w
    cross join lateral wording(v_language, t.clause) as x
    cross join wording(v_language, 'history') as y
    -- limit 1 keeps it from becoming a join with the whole catalogue.
    left join lateral (select m.item_id, m.title from item as m where m.item_no = t.evidence_no limit 1) as i on true
    left join had as h on h.item_no = t.evidence_no
    left join ranked as d on d.evidence_no = t.evidence_no
    order by
        t.is_note,
        t.evidence_no is null,
        d.rank desc nulls last,
        sum(t.contribution) over (partition by t.evidence_no) desc,
        t.evidence_no,
        t.contribution desc,
        t.component;
end
$$;

comment on function recsql_api.explain_recommendation(text, text, text, text, uuid, text) is
'Why an item is recommended to a user: one row per component and piece of evidence, whose contributions sum to the score that '
'recommend() gives without p_context; first the events without which the item would fall furthest. p_user_id: any, also one that is not '
'known yet; p_item_id: the application''s id; p_slot: which release, or, where an '
'experiment runs in it, what the user''s variant says; p_domain: as recommend() was asked for; p_request_id: a logged request of the user, of which '
'rows of contribution 0 then tell, behind the others, where it showed the item, whether chance put it there and which controls were on; '
'p_language: of the explanations, else the user''s attribute language, else en. component is a source, live SOURCE for what the user did '
'since the run, cold SOURCE where nothing is published of the item, rule NAME, ranker, trending or new, and of a request position, '
'exploration and control NAME; evidence_item_id, evidence_at: the user''s own item and when it was had, null for components that have '
'none; rank_without: where the item would stand among what is published for the user were each of them to lack what that event adds to it, '
'null where the item is not published or no event is named. Parts of similarity and content are divided among all items that they are the '
'sum of. A model of vectors is asked what it would say without each of the newest items (occlusion), and a row without evidence has the rest. An item that would not be recommended has '
'what its trend and its content would add. Errors: RS001 unknown item, or no such request of this user.';
