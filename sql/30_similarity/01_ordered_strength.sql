-- recsql.ordered_strength: 0 or more.
create function recsql.ordered_strength(p_n double precision, p_n_users double precision, p_popularity_power double precision)
returns double precision
language sql
immutable
begin atomic
    select p_n / power(greatest(coalesce(p_n_users, 0), 1), p_popularity_power);
end;

comment on function recsql.ordered_strength(double precision, double precision, double precision) is
'What the neighbours of one item are ranked by: n, damped by the users that the neighbour has.';
