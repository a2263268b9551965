-- recsql.item_exposure_daily: one row per day, slot and item that was shown.
create view recsql.item_exposure_daily as
select
    (i.at at time zone 'UTC')::date as day,
    coalesce(q.slot, 'default') as slot,
    i.item_no,
    sum(1 / log(2.0, i.position + 1))::double precision as exposure,
    count(*) as n_impressions
from recsql.impression as i
left join recsql.request as q on q.request_id = i.request_id
group by day, coalesce(q.slot, 'default'), i.item_no;

comment on view recsql.item_exposure_daily is
'One row per day (UTC), slot and item that was shown: its impressions, and their exposure, each 1 / log2(1 + position). Impressions whose request '
'is not logged count for slot default.';
