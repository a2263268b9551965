-- recsql.content_scale
create function recsql.content_scale(p_policy_no integer)
returns double precision
language sql
stable
begin atomic
    select coalesce(
        max(greatest((f.weights ->> 'content')::double precision, 0.01) * recsql.policy_scale(f.kind)), 0.01
    )
    from recsql.fusion_policy as f
    where f.policy_no = p_policy_no;
end;

comment on function recsql.content_scale(integer) is
'What an item of a cosine of 1 is worth where nothing but content is known of it, on the scale of a fusion policy.';
