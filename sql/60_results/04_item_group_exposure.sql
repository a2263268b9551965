-- recsql.item_group_exposure: one row per key and group of items.
create function recsql.item_group_exposure(p_run_no integer, p_method text, p_k integer default 10)
returns table (
    key text, item_group text, n_items integer, exposure_share double precision, relevance_share double precision,
    catalogue_share double precision
)
language sql
stable
set enable_nestloop = off
begin atomic
    with relevant as (
        select e.item_no, count(*) as n_events from recsql.relevant_event(p_run_no) as e group by e.item_no
    ),

    summed as (
        select
            g.key,
            g.item_group,
            count(*)::integer as n_items,
            sum(x.exposure * g.part) as exposure,
            sum(coalesce(r.n_events, 0) * g.part) as relevance,
            sum(g.part) as items
        from recsql.item_group(p_run_no) as g
        inner join recsql.item_exposure(p_run_no, p_method, p_k) as x on x.item_no = g.item_no
        left join relevant as r on r.item_no = g.item_no
        group by g.key, g.item_group
    )

    select
        s.key,
        s.item_group,
        s.n_items,
        coalesce(s.exposure / nullif(sum(s.exposure) over by_key, 0), 0),
        coalesce(s.relevance / nullif(sum(s.relevance) over by_key, 0), 0),
        s.items / sum(s.items) over by_key
    from summed as s
    window by_key as (partition by s.key);
end;

comment on function recsql.item_group_exposure(integer, text, integer) is
'Which share each group of items has of the exposure in the first k of all lists by one method, of what users of an offline run turned to next, '
'and of the catalogue. An item of several groups counts in parts (item_group), and the shares of a key sum to 1.';
