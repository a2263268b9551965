-- recsql.cube: from -1 to 1 for numbers in it.
create function recsql.cube(p_number double precision)
returns double precision
language sql
immutable
begin atomic
    select case when abs(p_number) < 1e-90 then 0 else p_number ^ 3 end;
end;

comment on function recsql.cube(double precision) is
'The third power; 0 of what is next to nothing, whose third power would be out of range.';
