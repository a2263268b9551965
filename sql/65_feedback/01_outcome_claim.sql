-- recsql.outcome_claim: one row per event that names a request.
create view recsql.outcome_claim as
select
    c.event_no,
    c.request_id,
    c.position,
    c.user_no,
    c.item_no,
    c.kind_no,
    c.at,
    c.delay,
    case when c.reason is null and c.nth > 1 then 'a repeated outcome' else c.reason end as reason,
    c.reward
from (
    select
        e.event_no,
        e.request_id,
        i.position,
        e.user_no,
        e.item_no,
        e.kind_no,
        e.at,
        e.at - i.at as delay,
        r.reason,
        w.reward * recsql.faded(e.at - i.at, w.half_life) as reward,
        -- Among those that count: what is refused for another reason takes nobody's place.
        row_number() over (
            partition by e.request_id, e.item_no, e.kind_no, r.reason order by e.at, e.event_no
        ) as nth
    from recsql.event as e
    left join recsql.impression as i on i.request_id = e.request_id and i.item_no = e.item_no
    left join recsql.reward as w on w.kind_no = e.kind_no
    cross join lateral (
        select case
            when i.request_id is null
                then case
                    when exists (select from recsql.impression as o where o.request_id = e.request_id)
                        then 'not shown by its request'
                    else 'of an unknown request'
                end
            when i.user_no <> e.user_no then 'shown to another user'
            when w.kind_no is null then 'of a kind without reward'
            when e.at < i.at then 'before its impression'
            when e.at > i.at + w.within then 'too late'
        end as reason
    ) as r
    where e.request_id is not null
) as c;

comment on view recsql.outcome_claim is
'One row per event that names the request that led to it. delay: since the impression; reward: by recsql.reward, faded by the delay; '
'reason: why it is no outcome, null where it is one.';
