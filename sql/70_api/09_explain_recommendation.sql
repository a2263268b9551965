-- recsql_api.explain_recommendation: strongest evidence first.
create function recsql_api.explain_recommendation(p_user_id text, p_item_id text, p_slot text default 'default')
returns table (component text, evidence_item_id text, evidence_at timestamptz, contribution double precision, explanation text)
language plpgsql
stable
security definer
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_run_no integer;
    v_policy_no integer;
    v_user_no integer := (select u.user_no from app_user as u where u.user_id = p_user_id);
    v_item_no integer := (select i.item_no from item as i where i.item_id = p_item_id);
begin
    if v_item_no is null then
        raise exception 'there is no item %', p_item_id
            using errcode = 'RS001', hint = 'Item ids are those of recsql_api.upsert_item and of the loaded files.';
    end if;
    select r.run_no, r.policy_no into v_run_no, v_policy_no from release as r where r.slot = p_slot;
    return query
    with parts as (
        select k.key as component, k.value::double precision as contribution
        from pool(v_run_no, v_policy_no, v_user_no, null) as p
        cross join lateral jsonb_each_text(p.parts) as k
        where p.item_no = v_item_no
    ),

    -- A similarity source's score is a sum over the user's items, so its part divides as the terms do.
    term as (
        select o.source as component, h.item_no, h.at,
            step_weight(o.history_decay, o.history_rate, h.step) * h.weight * s.similarity as score
        from source as o
        inner join interaction as h on h.run_no = v_run_no and h.user_no = v_user_no and h.step < o.history_length
        inner join item_similarity as s
            on s.run_no = v_run_no and s.neighbour_no = v_item_no and s.source_no = o.source_no and s.item_no = h.item_no
        where o.kind = 'similarity'
    ),

    evidence as (
        select p.component, t.item_no as evidence_no, t.at,
            p.contribution * t.score / sum(t.score) over (partition by p.component) as contribution
        from parts as p
        inner join term as t on t.component = p.component
        union all
        select 'live ' || l.source, l.evidence_no, e.at, l.contribution
        from live_part(v_run_no, v_policy_no, v_user_no) as l
        inner join new_event(v_run_no, v_user_no) as e on e.item_no = l.evidence_no
        where l.item_no = v_item_no
        union all
        select p.component, null, null, p.contribution
        from parts as p
        where not starts_with(p.component, 'live ') and not exists (select from term as t where t.component = p.component)
        union all
        select f.component, null, null, f.score
        from fallback(v_run_no, v_policy_no) as f
        where f.item_no = v_item_no and not exists (select from parts)
    )

    select
        e.component,
        i.item_id,
        e.at,
        e.contribution,
        coalesce(o.reason, case e.component when 'new' then 'new here' else e.component end)
        || coalesce(' ' || i.title, '')
    from evidence as e
    left join item as i on i.item_no = e.evidence_no
    left join source as o on o.source = split_part(e.component, ' ', -1)
    order by e.contribution desc, e.component, i.item_id;
end
$$;

comment on function recsql_api.explain_recommendation(text, text, text) is
'Why an item is recommended to a user: one row per component and piece of evidence, strongest first, whose contributions sum to '
'the score that recommend() gives. evidence_item_id, evidence_at: the user''s own item and when it was had; null for components '
'that have none. An item that would not be recommended has the row of its trend alone. Errors: RS001 unknown item.';
