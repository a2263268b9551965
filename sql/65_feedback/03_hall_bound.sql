-- recsql.hall_bound: one end of an interval.
create function recsql.hall_bound(
    p_mean double precision,
    p_deviation double precision,
    p_skewness double precision,
    p_n bigint,
    p_quantile double precision
)
returns double precision
language sql
immutable
begin atomic
    select case
        when p_n < 2 then null
        when p_deviation = 0 then p_mean
        when abs(p_skewness) > 1e-8
            then p_mean - p_deviation * 3
                * (cbrt(1 + p_skewness * (p_quantile / sqrt(p_n) - p_skewness / (6.0::double precision * p_n))) - 1) / p_skewness
        else p_mean - p_deviation * p_quantile / sqrt(p_n)
    end;
end;

comment on function recsql.hall_bound(double precision, double precision, double precision, bigint, double precision) is
'One end of the interval of a mean of p_n numbers whose distribution is skewed, by Hall''s transformation (1992). p_deviation: standard '
'deviation of the numbers; p_skewness: mean third power of the distance from the mean, over that of p_deviation; p_quantile: of the normal '
'distribution, 1.96 for the lower end of the 95 % interval, -1.96 for the upper. Null of fewer than two numbers.';
