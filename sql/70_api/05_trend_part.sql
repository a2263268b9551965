-- recsql.trend_part: one row per item with a trend.
create function recsql.trend_part(p_run_no integer, p_policy_no integer, p_personal_share double precision)
returns table (item_no integer, contribution double precision, trend real)
language sql
stable
begin atomic
    select
        p.item_no,
        greatest(
            (f.weights ->> 'trending')::double precision,
            0.01,
            (1 - p_personal_share) * (select recsql.personal_weight(p_policy_no))
        ) * recsql.policy_scale(f.kind) * p.trend / (
            select nullif(max(m.trend), 0) from recsql.item_popularity as m where m.run_no = p_run_no
        ),
        p.trend
    from recsql.fusion_policy as f
    inner join recsql.item_popularity as p on p.run_no = p_run_no
    where f.policy_no = p_policy_no;
end;

comment on function recsql.trend_part(integer, integer, double precision) is
'What the trend of an item is worth where nothing is published of it: what it weighs in the policy, and for a user whose own items say '
'little (p_personal_share) at least the rest of what they would weigh.';
