-- recsql.two_sided_quantile: a number of standard errors.
create function recsql.two_sided_quantile(p_alpha double precision)
returns double precision
language plpgsql
immutable
as $$
declare
    v_quantile double precision := 0;
    v_tail double precision;
    v_step double precision;
begin
    -- Newton's method on the logarithm of the tail, which is concave, so that it cannot go astray.
    for v_nth in 1 .. 100 loop
        v_tail := erfc(v_quantile / sqrt(2));
        v_step := ln(v_tail / p_alpha) * v_tail / (sqrt(2 / pi()) * exp(-(v_quantile ^ 2) / 2));
        v_quantile := v_quantile + v_step;
        exit when abs(v_step) < 1e-14;
    end loop;
    return v_quantile;
end
$$;

comment on function recsql.two_sided_quantile(double precision) is
'How far a standard normal number is from 0 with probability p_alpha, or further: 1.96 for 0.05. p_alpha: from 1e-9 to 1.';
