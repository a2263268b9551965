-- recsql_api.item_coverage_daily: one row per day, domain and slot.
create view recsql_api.item_coverage_daily as
with last_of_day as (
    select distinct on (l.slot, (l.released_at at time zone 'UTC')::date)
        l.slot,
        (l.released_at at time zone 'UTC')::date as day,
        l.run_no
    from recsql.release_log as l
    order by l.slot, (l.released_at at time zone 'UTC')::date, l.release_no desc
)

select
    d.day,
    d.slot,
    i.domain,
    count(distinct i.item_no) as n_items,
    count(distinct r.item_no) as n_recommended,
    count(distinct r.item_no)::double precision / nullif(count(distinct i.item_no), 0) as coverage
from last_of_day as d
cross join recsql.item as i
left join recsql.recommendation as r on r.run_no = d.run_no and r.item_no = i.item_no and r.rank <= 10
where i.available
group by d.day, d.slot, i.domain;

comment on view recsql_api.item_coverage_daily is
'One row per day (UTC) with a release, slot and domain: how many of the items that are available now are among somebody''s '
'first ten. coverage: their share, from 0 to 1.';
