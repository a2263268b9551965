-- recsql.exposure_charge: from 0 to 1.
create function recsql.exposure_charge(p_exposure double precision, p_target double precision)
returns double precision
language sql
immutable
begin atomic
    select least(greatest(ln((p_exposure + 1) / (p_target + 1)) / ln(64), 0), 1);
end;

comment on function recsql.exposure_charge(double precision, double precision) is
'The price of an item that had an exposure where each should have had p_target: 0 up to the target, then with the logarithm of their ratio up to 1 '
'at 64 times as much. Both count one impression at the first position more, so that little evidence makes no price.';
