-- recsql_api.explain_recommendation: strongest evidence first.
create function recsql_api.explain_recommendation(
    p_user_id text, p_item_id text, p_slot text default 'default', p_domain text default null
)
returns table (component text, evidence_item_id text, evidence_at timestamptz, contribution double precision, explanation text)
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
    v_user_no integer := (select u.user_no from app_user as u where u.user_id = p_user_id);
    v_item_no integer := (select i.item_no from item as i where i.item_id = p_item_id);
    v_new_nos integer[];
    v_new_weights double precision[];
    v_known_nos integer[];
    v_known_weights double precision[];
    v_taste item_embedding.embedding%type;
    v_is_cold boolean;
    v_share double precision;
begin
    if v_item_no is null then
        raise exception 'there is no item %', p_item_id
            using errcode = 'RS001', hint = 'Item ids are those of recsql_api.upsert_item and of the loaded files.';
    end if;
    select r.run_no, r.policy_no into v_run_no, v_policy_no from release as r where r.slot = p_slot;
    select coalesce(array_agg(e.item_no), '{}'), coalesce(array_agg(e.weight), '{}')
    into v_new_nos, v_new_weights
    from new_event(v_run_no, v_user_no) as e;
    select coalesce(array_agg(h.item_no), '{}'), coalesce(array_agg(h.weight), '{}')
    into v_known_nos, v_known_weights
    from known_item(v_run_no, v_user_no) as h;
    v_taste := content_taste(v_known_nos, v_known_weights, v_new_nos, v_new_weights);
    v_is_cold := is_new_domain(p_domain, v_new_nos || v_known_nos);
    v_share := personal_share(v_run_no, v_user_no, v_new_weights || v_known_weights);
    return query
    with pooled as (
        select k.key as component, k.value::double precision as contribution
        from recommendation as r
        cross join lateral jsonb_each_text(r.parts) as k
        where r.run_no = v_run_no and r.user_no = v_user_no and r.item_no = v_item_no and not v_is_cold
        union all
        select f.component, sum(f.weight * s.similarities[array_position(s.neighbour_nos, v_item_no)])
        from fresh_weight(v_run_no, v_policy_no, v_user_no, v_new_nos, v_new_weights, null) as f
        inner join item_similarity as s
            on s.run_no = v_run_no and s.source_no = f.source_no and s.item_no = f.item_no
        where v_item_no = any (s.neighbour_nos) and not v_is_cold and is_published_for(v_run_no, v_user_no)
        group by f.component
        union all
        select 'cold content', n.contribution
        from newcomer_part(v_run_no, v_user_no, v_taste) as n
        where n.item_no = v_item_no and not v_is_cold
    ),

    cold as (
        select c.component, c.contribution
        from cold_part(v_run_no, v_policy_no, v_taste, v_share, array[v_item_no]) as c
        where not exists (select from pooled)
        union all
        select h.component, h.contribution
        from history_part(
            v_run_no, v_policy_no, v_user_no, v_new_nos || v_known_nos, v_new_weights || v_known_weights, v_share
        ) as h
        where h.item_no = v_item_no and not exists (select from pooled)
    ),

    part as (
        select p.component, p.contribution from pooled as p
        union all
        select c.component, c.contribution from cold as c
        union all
        select 'new', 0
        where
            not exists (select from pooled) and not exists (select from cold)
            and not exists (select from item_popularity as n where n.run_no = v_run_no and n.item_no = v_item_no)
    ),

    had as (
        select e.item_no, max(e.at) as at from event as e where e.user_no = v_user_no group by e.item_no
    )

    select
        p.component,
        i.item_id,
        h.at,
        p.contribution * coalesce(e.score / sum(e.score) over (partition by p.component), 1) as contribution,
        phrase(p.component, o, coalesce(i.title, i.item_id))
    from part as p
    left join evidence(
        v_run_no, v_known_nos, v_known_weights, v_new_nos, v_new_weights, null,
        array(select v_item_no from part), array(select component from part)
    ) as e on e.component = p.component
    -- limit 1 keeps it from becoming a join with the whole catalogue.
    left join lateral (select m.item_id, m.title from item as m where m.item_no = e.evidence_no limit 1) as i on true
    left join had as h on h.item_no = e.evidence_no
    left join source as o on o.source = split_part(p.component, ' ', -1)
    order by contribution desc, p.component, i.item_id;
end
$$;

comment on function recsql_api.explain_recommendation(text, text, text, text) is
'Why an item is recommended to a user: one row per component and piece of evidence, strongest first, whose contributions sum '
'to the score that recommend() gives without p_context. p_user_id: any, also one that is not known yet; p_item_id: the '
'application''s id; p_slot: which release; p_domain: as recommend() was asked for. component is a source, live SOURCE for what the user did since the run, cold SOURCE '
'where nothing is published of the item, trending or new; evidence_item_id, evidence_at: the user''s own item and when it was had; null for components that have none. An item '
'that would not be recommended has what its trend and its content would add. Errors: RS001 unknown item.';
