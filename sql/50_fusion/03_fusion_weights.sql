-- recsql.fusion_weights: an object, empty where nothing is named.
create function recsql.fusion_weights(p_kind text, p_config jsonb)
returns jsonb
language sql
stable
begin atomic
    select coalesce(jsonb_object_agg(s.source, round(s.weight::numeric, 6)), '{}')
    from (
        select w.source, sum(w.weight * r.share / r.total) as weight
        from (
            select n.name, n.share, sum(n.share) over () as total
            from recsql.fusion_reference(p_kind, p_config) as n
        ) as r
        cross join lateral (
            select o.source, 1 as weight from recsql.source as o where o.source = r.name
            union all
            select a.key, a.value::double precision / sum(a.value::double precision) over ()
            from recsql.fusion_policy as f
            cross join lateral jsonb_each_text(f.weights) as a
            where f.policy = r.name
        ) as w
        group by w.source
    ) as s;
end;

comment on function recsql.fusion_weights(text, jsonb) is
'The weights of the sources in what a config names: each name has its share of 1, which a policy passes on by its own weights.';
