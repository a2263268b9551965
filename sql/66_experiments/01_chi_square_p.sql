-- recsql.chi_square_p: from 0 to 1.
create function recsql.chi_square_p(p_statistic double precision, p_degrees integer)
returns double precision
language plpgsql
immutable
as $$
declare
    v_half double precision := p_statistic / 2;
    v_shape double precision := case when p_degrees % 2 = 0 then 1 else 0.5 end;
    v_p double precision;
    v_term double precision;
begin
    -- exp() below that is out of range, and so is the answer.
    if v_half > 600 then
        return 0;
    end if;
    -- Q(a + 1, h) = Q(a, h) + h^a exp(-h) / gamma(a + 1), from Q(1, h) = exp(-h) or Q(1/2, h) = erfc(sqrt(h)).
    v_p := case when v_shape = 1 then exp(-v_half) else erfc(sqrt(v_half)) end;
    v_term := exp(-v_half) * case when v_shape = 1 then v_half else 2 * sqrt(v_half / pi()) end;
    while v_shape < p_degrees / 2.0 loop
        v_p := v_p + v_term;
        v_shape := v_shape + 1;
        v_term := v_term * v_half / v_shape;
    end loop;
    return v_p;
end
$$;

comment on function recsql.chi_square_p(double precision, integer) is
'How probable so large a chi-square statistic is by chance alone. p_degrees: of freedom, at least 1.';
