-- recsql_api.exposure_daily: one row per day and slot with impressions.
create view recsql_api.exposure_daily as
select
    d.day,
    d.slot,
    sum(d.n_impressions)::bigint as n_impressions,
    count(*) as n_shown,
    n.n_items,
    recsql.gini(
        array_agg(d.exposure) || array_fill(0.0::double precision, array[greatest(n.n_items - count(*), 0)::integer])
    ) as gini,
    (sum(d.n_impressions * coalesce(p.n_users, 0)) / sum(d.n_impressions))::double precision as arp,
    (coalesce(sum(d.n_impressions) filter (where coalesce(p.band, 'tail') = 'tail'), 0) / sum(d.n_impressions))::double precision
        as aplt
from recsql.item_exposure_daily as d
cross join (select count(*) as n_items from recsql.item as i where i.available) as n
left join (
    select r.slot, b.item_no, b.n_users, b.band
    from recsql.release as r
    cross join lateral recsql.popularity_band(r.run_no) as b
) as p on p.slot = d.slot and p.item_no = d.item_no
group by d.day, d.slot, n.n_items;

comment on view recsql_api.exposure_daily is
'One row per day (UTC) and slot with impressions: n_impressions: items shown; n_shown: different ones, of n_items that are available now; gini: of '
'the exposure of all of these, each impression 1 / log2(1 + position), 0 where all items are shown alike; arp: average recommendation popularity, '
'the mean number of users who had the item; aplt: average percentage of long-tail items, the share of impressions of the tail, from 0 to 1. '
'Popularity and tail (the least popular items with a fifth of all interactions) are of the run that the slot serves now.';
