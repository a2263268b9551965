-- recsql.redistributed: one element per score, in their order.
create function recsql.redistributed(p_scores double precision [], p_chosen integer [])
returns double precision []
language sql
immutable
begin atomic
    select array_agg(v.score order by o.place)
    from (
        select
            s.place,
            row_number() over (
                order by s.score is null, array_position(p_chosen, s.place::integer) nulls last, s.score desc, s.place
            ) as nth
        from unnest(p_scores) with ordinality as s (score, place)
    ) as o
    inner join (
        select s.score, row_number() over (order by s.score desc nulls last) as nth
        from unnest(p_scores) as s (score)
    ) as v on v.nth = o.nth;
end;

comment on function recsql.redistributed(double precision [], integer []) is
'The same scores so that they order the places (from 1) of p_chosen first, as they stand there, and the others behind them as they did: what comes '
'k-th gets the k-th largest. A null score stays null.';
