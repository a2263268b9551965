-- recsql.fusion_scale
create function recsql.fusion_scale(p_policy_no integer)
returns double precision
language sql
stable
begin atomic
    select sum(w.value::double precision) * recsql.policy_scale(min(f.kind))
    from recsql.fusion_policy as f
    cross join lateral jsonb_each_text(f.weights) as w
    where f.policy_no = p_policy_no;
end;

comment on function recsql.fusion_scale(integer) is
'What an item has under a fusion policy that every source puts first: by it, scores of different policies are brought to one scale.';
