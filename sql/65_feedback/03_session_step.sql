-- recsql.session_step: one row per user and step of a session.
create function recsql.session_step(p_run_no integer)
returns table (
    user_no integer,
    session_no bigint,
    step bigint,
    n_steps bigint,
    at timestamptz,
    item_no integer,
    reward double precision,
    propensity double precision,
    request_id uuid,
    place smallint,
    n_before bigint
)
language sql
stable
-- A view calls it, which readers may ask.
security definer
set search_path = recsql, pg_temp
-- Estimates behind the cut are far too low, and nested loops would be chosen where a hash is far faster.
set enable_nestloop = off
begin atomic
    with visible as materialized (
        select v.event_no, v.user_no, v.item_no, v.kind_no, v.at from recsql.visible_event(p_run_no) as v
    ),

    -- Which one is the first is asked of what is visible: a later one may have been dated back.
    claimed as materialized (
        select c.event_no, c.request_id, c.item_no, c.reward,
            row_number() over (partition by c.request_id, c.item_no, c.kind_no order by c.at, c.event_no) = 1 as is_first
        from recsql.outcome_claim as c
        inner join visible as v on v.event_no = c.event_no
        where c.reason is null or c.reason = 'a repeated outcome'
    ),

    decided as (
        select i.user_no, i.at, i.item_no, i.propensity, i.request_id, i.position as place, null::bigint as event_no,
            coalesce(o.reward, 0) as reward
        from recsql.run as r
        inner join recsql.impression as i on true
        left join recsql.split_cut as s on s.split_no = r.split_no and s.user_no = i.user_no
        left join (
            select c.request_id, c.item_no, sum(c.reward) as reward
            from claimed as c
            where c.is_first
            group by c.request_id, c.item_no
        ) as o on o.request_id = i.request_id and o.item_no = i.item_no
        where r.run_no = p_run_no and i.at <= case when r.split_no is null then r.as_of else s.cut_at end
        union all
        -- What users found by themselves.
        select v.user_no, v.at, v.item_no, null, null, null, v.event_no, w.reward
        from visible as v
        inner join recsql.reward as w on w.kind_no = v.kind_no
        left join claimed as c on c.event_no = v.event_no
        where c.event_no is null
    ),

    timed as (
        select d.*, false as is_interaction from decided as d
        union all
        select n.user_no, n.at, n.item_no, null, null, null, n.event_no, null, true
        from recsql.interaction as n
        where n.run_no = p_run_no and n.step is not null
    ),

    placed as (
        -- An interaction of the same moment comes of the decision: it is not known before it.
        select t.*,
            count(*) filter (where t.is_interaction) over (
                partition by t.user_no order by t.at, t.is_interaction, t.place, t.event_no
            ) as n_before
        from timed as t
    ),

    parted as (
        select p.*, p.at - lag(p.at) over by_user > g.session_gap as is_after_gap
        from placed as p
        cross join recsql.decision_process as g
        where not p.is_interaction
        window by_user as (partition by p.user_no order by p.at, p.place, p.event_no)
    ),

    numbered as (
        select p.*,
            1 + count(*) filter (where p.is_after_gap) over (
                partition by p.user_no order by p.at, p.place, p.event_no
            ) as session_no
        from parted as p
    )

    select n.user_no, n.session_no, row_number() over (by_session order by n.at, n.place, n.event_no), count(*) over by_session,
        n.at, n.item_no, n.reward, n.propensity, n.request_id, n.place, n.n_before
    from numbered as n
    window by_session as (partition by n.user_no, n.session_no);
end;

comment on function recsql.session_step(integer) is
'What was offered to users and what they found by themselves, as far as a run may see it, cut into sessions where nothing happened for '
'longer than session_gap. session_no and step: from 1; n_steps: of the session; reward: by recsql.reward, of an impression what came of it; '
'propensity, request_id, place: null for what users found by themselves; n_before: how many interactions of the user''s sequence the run knows from '
'before: the state.';
