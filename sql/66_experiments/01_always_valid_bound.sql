-- recsql.always_valid_bound: a number of standard errors.
create function recsql.always_valid_bound(p_n double precision, p_planned double precision, p_alpha double precision)
returns double precision
language sql
immutable
begin atomic
    select sqrt((s.growth + 1) / s.growth * (ln(s.growth + 1) - 2 * ln(p_alpha)))
    from (
        select nullif(p_n, 0) / p_planned * (ln(1 - 2 * ln(p_alpha)) - 2 * ln(p_alpha)) as growth
    ) as s;
end;

comment on function recsql.always_valid_bound(double precision, double precision, double precision) is
'How many standard errors a mean of p_n users may be off, with probability 1 - p_alpha at all times at once: the asymptotic confidence '
'sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Annals of Statistics 2024, theorem 2.2), which is tightest at p_planned '
'users. Null where p_n is 0.';
