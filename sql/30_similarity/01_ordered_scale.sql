-- recsql.ordered_scale: null where nothing follows and nothing is added.
create function recsql.ordered_scale(p_total double precision, p_shrinkage double precision)
returns double precision
language sql
immutable
begin atomic
    select 1 / nullif(p_total + 16777216 * p_shrinkage, 0);
end;

comment on function recsql.ordered_scale(double precision, double precision) is
'What makes strengths of one item''s neighbours similarities: 1 / (total + shrinkage), with total in 2^-24.';
