-- recsql.bandit_request_score: one row per request, draw and item of its pool; unordered.
create function recsql.bandit_request_score(p_ranking_policy_no integer, p_request_ids uuid [])
returns table (request_id uuid, draw integer, item_no integer, score double precision)
language sql
stable
begin atomic
    -- Where more than the bandit ordered the pool, it did so by the posterior's mean, whatever it draws else.
    select q.request_id, d.draw, s.item_no, s.score
    from recsql.bandit as b
    inner join recsql.request as q on q.request_id = any(p_request_ids)
    cross join lateral recsql.bandit_score(
        b.ranking_policy_no, q.user_no, q.pool_nos, q.pool_scores::double precision [], q.at
    ) as s
    cross join lateral generate_series(1, greatest(1, cardinality(b.draws))) as d (draw)
    where b.ranking_policy_no = p_ranking_policy_no and (b.draws = '{}' or recsql.is_reordered(q.controls))
    union all
    select q.request_id, s.draw, s.item_no, s.score
    from recsql.bandit as b
    inner join recsql.request as q on q.request_id = any(p_request_ids)
    cross join lateral recsql.bandit_draw_score(
        b.ranking_policy_no, q.user_no, q.pool_nos, q.pool_scores::double precision [], q.at
    ) as s
    where b.ranking_policy_no = p_ranking_policy_no and b.draws <> '{}' and not recsql.is_reordered(q.controls);
end;

comment on function recsql.bandit_request_score(integer, uuid []) is
'How a bandit would order the pools of logged requests: users and items as they were then, but the posterior as it is now, which has read '
'what came of those requests. draw: each draw of Thompson sampling, 1 for the other kinds; each is as likely as another.';
