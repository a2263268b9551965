-- recsql.ordered_similarity: 0 or more, null where nothing follows and nothing is added.
create function recsql.ordered_similarity(
    p_n double precision,
    p_total double precision,
    p_n_users double precision,
    p_shrinkage double precision,
    p_popularity_power double precision
)
returns real
language sql
immutable
begin atomic
    select (
        p_n / nullif(p_total + 16777216 * p_shrinkage, 0)
        / power(greatest(coalesce(p_n_users, 0), 1), p_popularity_power)
    )::real;
end;

comment on function recsql.ordered_similarity(
    double precision, double precision, double precision, double precision, double precision
) is
'Share that a neighbour has of what follows an item: n / (total + shrinkage) / users of the neighbour ^ power, n and total in 2^-24.';
