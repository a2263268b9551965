-- recsql.exposure_prices: one per exposure, in their order.
create function recsql.exposure_prices(p_exposures double precision [], p_n_items bigint)
returns double precision []
language sql
immutable
begin atomic
    with shown as (
        select
            e.place,
            e.exposure <= 1 as is_free,
            greatest(p_n_items - count(*) over (), 0) + count(*) filter (where e.exposure <= 1) over () as n_free,
            greatest(p_n_items, count(*) over ()) as n,
            rank() over (order by e.exposure desc) + (count(*) over (partition by e.exposure) - 1) / 2.0 as place_from_top
        from unnest(p_exposures) with ordinality as e (exposure, place)
    ),

    ranked as (
        select
            s.place,
            case when s.is_free then (s.n_free + 1) / 2.0 else s.n + 1 - s.place_from_top end::double precision as rank,
            case when s.n_free > 0 then (s.n_free + 1) / 2.0 end::double precision as lowest
        from shown as s
    )

    select array_agg(
        coalesce((r.rank - coalesce(r.lowest, r.least)) / nullif(r.most - coalesce(r.lowest, r.least), 0), 0) order by r.place
    )
    from (
        select k.*, min(k.rank) over () as least, max(k.rank) over () as most from ranked as k
    ) as r;
end;

comment on function recsql.exposure_prices(double precision [], bigint) is
'The price of each item by its exposure: its rank among all p_n_items items, the least shown first and ties in the middle, scaled to 0 for the '
'least and 1 for the most. That is the gradient of the Gini index, as in Do and Usunier 2022. Items that are left out count as never shown, and '
'an exposure of one impression at the first position or less as none, so that little evidence makes no price.';
