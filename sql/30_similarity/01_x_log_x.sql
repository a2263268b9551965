-- recsql.x_log_x: never null.
create function recsql.x_log_x(p_x double precision)
returns double precision
language sql
immutable
parallel safe
begin atomic
    select case when p_x > 0 then p_x * ln(p_x) else 0 end;
end;

comment on function recsql.x_log_x(double precision) is 'x ln x, and 0 for 0: what entropies of counts are sums of.';
