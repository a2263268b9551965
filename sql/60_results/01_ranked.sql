-- recsql.ranked: unordered; higher scores rank first.
create function recsql.ranked(p_run_no integer, p_method text)
returns table (user_no integer, item_no integer, score real)
language sql
stable
begin atomic
    select c.user_no, unnest(c.item_nos), unnest(c.scores)
    from recsql.source as s
    inner join recsql.candidate as c on c.run_no = p_run_no and c.source_no = s.source_no
    where s.source = p_method
    union all
    -- What proposes nothing itself is as good as its order of what the others propose.
    select x.user_no, unnest(x.item_nos), unnest(x.scores)
    from recsql.source as s
    inner join recsql.model as m on m.model = s.source
    inner join recsql.model_version as v on v.model_no = m.model_no and v.run_no = p_run_no
    inner join recsql.score as x on x.run_no = p_run_no and x.version_no = v.version_no
    where s.source = p_method and s.kind = 'score'
    union all
    select r.user_no, r.item_no, r.score
    from recsql.recommendation as r
    where p_method = 'fused' and r.run_no = p_run_no
    union all
    select f.user_no, f.item_no, f.score::real
    from recsql.fusion_policy as p
    cross join recsql.fused(p_run_no, p.policy_no, 0, 2147483647) as f
    where p.policy = p_method
    union all
    select c.user_no, c.item_no, c.score::real
    from recsql.controlled(
        p_run_no, case when starts_with(p_method, 'fused {') then substr(p_method, 7)::jsonb end, 0, 2147483647
    ) as c
    where starts_with(p_method, 'fused {')
    union all
    -- Once, whatever else there is.
    select null::integer, null::integer, null::real where not recsql.check_method(p_method);
end;

comment on function recsql.ranked(integer, text) is
'The scored items of a run by one method: a source of candidates (of kind score: what it says of those of the others), fused for '
'what was fused, fused {CONTROLS} for that in the order that controls give it (controlled), as fused {"diversity": 0.3}, or the name of a fusion '
'policy to try.';
