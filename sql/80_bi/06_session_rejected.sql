-- recsql_api.session_rejected: one row per slot and session.
create view recsql_api.session_rejected as
select r.slot, u.user_id, s.began_at, s.ended_at, s.n_steps, format('more than %s steps', d.max_steps) as reason
from recsql.release as r
cross join recsql.decision_process as d
cross join lateral (
    select t.user_no, t.n_steps, min(t.at) as began_at, max(t.at) as ended_at
    from recsql.session_step(r.run_no) as t
    where t.n_steps > d.max_steps
    group by t.user_no, t.session_no, t.n_steps
) as s
inner join recsql.app_user as u on u.user_no = s.user_no;

comment on view recsql_api.session_rejected is
'One row per slot and session, as far as the run sees that the slot serves, from which no policy learns, with the reason: it has more steps '
'than recsql.decision_process.max_steps, as a program makes them and no person.';
