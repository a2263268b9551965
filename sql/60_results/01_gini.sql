-- recsql.gini: from 0 to 1; null where all are 0.
create function recsql.gini(p_values double precision [])
returns double precision
language sql
immutable
begin atomic
    select sum((2 * v.nth - v.n - 1) * v.value) / (max(v.n) * nullif(sum(v.value), 0))
    from (
        select u.value, row_number() over (order by u.value) as nth, count(*) over () as n
        from unnest(p_values) as u (value)
    ) as v;
end;

comment on function recsql.gini(double precision []) is
'Gini index of numbers of 0 or more: 0 where all are the same, (n - 1) / n where one has everything.';
