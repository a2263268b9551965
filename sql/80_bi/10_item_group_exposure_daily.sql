-- recsql_api.item_group_exposure_daily: one row per day, slot, key and group of items.
create view recsql_api.item_group_exposure_daily as
with grouped as materialized (
    select
        r.slot,
        g.key,
        g.item_group,
        g.item_no,
        g.part,
        sum(g.part) over (partition by r.slot, g.key, g.item_group)
        / sum(g.part) over (partition by r.slot, g.key) as catalogue_share
    from recsql.release as r
    cross join lateral recsql.item_group(r.run_no) as g
)

select
    d.day,
    d.slot,
    g.key,
    g.item_group,
    sum(d.n_impressions)::bigint as n_impressions,
    sum(d.exposure * g.part) / sum(sum(d.exposure * g.part)) over (partition by d.day, d.slot, g.key) as exposure_share,
    g.catalogue_share
from recsql.item_exposure_daily as d
inner join grouped as g on g.slot = d.slot and g.item_no = d.item_no
group by d.day, d.slot, g.key, g.item_group, g.catalogue_share;

comment on view recsql_api.item_group_exposure_daily is
'One row per day (UTC), slot, key and group of items that was shown, by the keys of recsql.fairness_key. n_impressions: of its items; '
'exposure_share: of the day''s exposure, each impression 1 / log2(1 + position); catalogue_share: of the items that the slot can serve. An item '
'of several groups counts for each in equal parts, in n_impressions wholly.';
