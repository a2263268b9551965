-- recsql.policy_scale
create function recsql.policy_scale(p_kind text)
returns double precision
language sql
immutable
begin atomic
    select case p_kind when 'rrf' then 1.0::double precision / 61 else 1 end;
end;

comment on function recsql.policy_scale(text) is
'What the best item of a source of weight 1 gets under a kind of fusion policy, so that what is added live is on the scale of what '
'is published; all but rrf give what every source puts first the sum of the weights.';
