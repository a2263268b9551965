-- recsql.standing: one element per score, in their order.
create function recsql.standing(p_scores double precision [])
returns double precision []
language sql
immutable
begin atomic
    select array_agg(
        greatest(-3, least(3, coalesce((s.score - m.mean) / nullif(m.deviation, 0), 0)))::double precision
        order by s.place
    )
    from unnest(p_scores) with ordinality as s (score, place)
    cross join (
        select avg(a.score) as mean, stddev_pop(a.score) as deviation
        from unnest(p_scores) as a (score)
    ) as m;
end;

comment on function recsql.standing(double precision []) is
'Where scores stand in their pool: standard deviations from its mean, at most 3; 0 where all are the same.';
