-- recsql.personal_weight
create function recsql.personal_weight(p_policy_no integer)
returns double precision
language sql
stable
begin atomic
    select coalesce(sum((f.weights ->> s.source)::double precision), 0)
    from recsql.fusion_policy as f
    inner join recsql.source as s on s.kind = 'similarity' or s.source = 'content'
    where f.policy_no = p_policy_no;
end;

comment on function recsql.personal_weight(integer) is
'What the sources weigh in a fusion policy that can say something of a user from the first event on: those of similarities, and content.';
