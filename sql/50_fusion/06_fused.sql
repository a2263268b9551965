-- recsql.fused: unordered.
create function recsql.fused(
    p_run_no integer, p_policy_no integer, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision, parts jsonb)
language sql
stable
begin atomic
    select w.user_no, w.item_no, w.score, w.parts
    from recsql.weighted_fused(p_run_no, p_policy_no, p_first_user_no, p_last_user_no) as w
    union all
    select f.user_no, f.item_no, f.score, f.parts
    from recsql.fusion_policy as p
    cross join lateral recsql.switching_fused(p_run_no, p.policy_no, p_first_user_no, p_last_user_no) as f
    where p.policy_no = p_policy_no and p.kind = 'switching'
    union all
    select f.user_no, f.item_no, f.score, f.parts
    from recsql.fusion_policy as p
    cross join lateral recsql.mixed_fused(p_run_no, p.policy_no, p_first_user_no, p_last_user_no) as f
    where p.policy_no = p_policy_no and p.kind = 'mixed'
    union all
    select f.user_no, f.item_no, f.score, f.parts
    from recsql.fusion_policy as p
    cross join lateral recsql.cascade_fused(p_run_no, p.policy_no, p_first_user_no, p_last_user_no) as f
    where p.policy_no = p_policy_no and p.kind = 'cascade';
end;

comment on function recsql.fused(integer, integer, integer, integer) is
'Candidates of the users in a range of user_no with their score by a fusion policy and what each source adds to it: by weighted_fused, '
'switching_fused, mixed_fused or cascade_fused, whichever the policy''s kind is. None by a ranker, which a worker executes.';
