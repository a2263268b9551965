-- recsql_api.outcome_rejected: one row per event that names a request and is no outcome of it.
create view recsql_api.outcome_rejected as
select c.request_id, u.user_id, i.item_id, k.kind, c.at, c.reason
from recsql.outcome_claim as c
inner join recsql.app_user as u on u.user_no = c.user_no
inner join recsql.item as i on i.item_no = c.item_no
inner join recsql.event_kind as k on k.kind_no = c.kind_no
where c.reason is not null;

comment on view recsql_api.outcome_rejected is
'One row per event that names the request that led to it, and is no outcome all the same, with the reason: the request or the impression '
'is not known, it was shown to somebody else, the event was before it, too late after it, of a kind that has no row in recsql.reward, or '
'of a kind that it had already. The event itself counts as any other.';
