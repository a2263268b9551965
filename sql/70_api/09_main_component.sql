-- recsql.main_component: one row per element of p_parts, in its order.
create function recsql.main_component(p_parts jsonb [])
returns table (place bigint, component text, score double precision)
language sql
stable
begin atomic
    select distinct on (c.place) c.place, c.component, c.score
    from (
        select
            t.place,
            -- Of what is published without parts a ranker says nothing in particular.
            coalesce(p.key, 'ranker') as component,
            coalesce(p.value::double precision, 0) as contribution,
            -- Of other kinds no item of the user's own could be named.
            o.kind in ('similarity', 'vector') and o.history_length is not null as is_evident,
            coalesce(sum(p.value::double precision) over by_item, 0) as score,
            sum(
                case when o.kind in ('similarity', 'vector') and o.history_length > 0 then p.value::double precision else 0 end
            ) over by_item as evident
        from unnest(p_parts) with ordinality as t (parts, place)
        left join lateral jsonb_each_text(t.parts) as p on true
        left join recsql.source as o on o.source = recsql.component_key(p.key)
        window by_item as (partition by t.place)
    ) as c
    -- A share of a tenth is enough to be told: an item of one's own says more than a larger part that has none. What a rule adds is
    -- the shop's reason and not the user's.
    order by
        c.place,
        starts_with(c.component, 'rule '),
        (c.is_evident and c.contribution > 0 and c.evident >= 0.1 * c.score) desc,
        c.contribution desc,
        c.component;
end;

comment on function recsql.main_component(jsonb []) is
'The component that each recommendation is to be explained by, and the sum of its parts: the strongest of those that read the '
'user''s history, where these make up a tenth of the score, else the strongest of all; a rule only where there is nothing else.';
