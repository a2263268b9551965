-- recsql.transition: one row per user and step of a session.
create function recsql.transition(p_run_no integer)
returns table (
    user_no integer,
    session_no bigint,
    step bigint,
    at timestamptz,
    n_before bigint,
    features jsonb,
    item_no integer,
    reward double precision,
    next_n_before bigint,
    next_features jsonb,
    next_item_no integer,
    is_done boolean,
    propensity double precision,
    request_id uuid,
    place smallint
)
language sql
stable
begin atomic
    select
        s.user_no,
        s.session_no,
        s.step,
        s.at,
        s.n_before,
        s.features,
        s.item_no,
        s.reward,
        lead(s.n_before) over by_session,
        lead(s.features) over by_session,
        lead(s.item_no) over by_session,
        s.step = s.n_steps,
        s.propensity,
        s.request_id,
        s.place
    from (
        select t.*,
            coalesce(recsql.user_segment(u.attributes, array(
                select k.key from unnest(d.feature_keys) as k (key) where u.attributes ? k.key
            )), '{}')
            || jsonb_build_object(
                'hour', extract(hour from t.at at time zone 'UTC'),
                'weekday', extract(isodow from t.at at time zone 'UTC'),
                'step', t.step
            ) as features
        from recsql.session_step(p_run_no) as t
        inner join recsql.app_user as u on u.user_no = t.user_no
        cross join recsql.decision_process as d
        where t.n_steps <= d.max_steps
    ) as s
    window by_session as (partition by s.user_no, s.session_no order by s.step);
end;

comment on function recsql.transition(integer) is
'The decision process that a run may see: state (the user''s first n_before interactions, of which a sequence model makes a vector, and '
'features: the attributes that recsql.decision_process names, hour and weekday (UTC, Monday is 1), step), action (item_no), reward, next '
'state, next action, is_done where the session ends, and the propensity of the action, null where the user found it by himself. Sessions of more '
'than max_steps are left out (recsql_api.session_rejected).';
