-- recsql.weighted_fused: unordered.
create function recsql.weighted_fused(
    p_run_no integer, p_policy_no integer, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision, parts jsonb)
language sql
stable
begin atomic
    -- User by user, so that what is summed up stays in memory however many users there are.
    select u.user_no, f.item_no, f.score, f.parts
    from (
        select c.user_no
        from recsql.candidate as c
        where c.run_no = p_run_no and c.user_no between p_first_user_no and p_last_user_no
        union
        select s.user_no
        from recsql.score as s
        where s.run_no = p_run_no and s.user_no between p_first_user_no and p_last_user_no
    ) as u
    cross join lateral (
        select
            s.item_no,
            sum(c.contribution) as score,
            jsonb_object_agg(o.source, round(c.contribution::numeric, 9)) filter (where c.contribution <> 0) as parts
        from recsql.fusion_policy as p
        cross join recsql.source_part(p_run_no, u.user_no, u.user_no) as s
        inner join recsql.source as o on o.source_no = s.source_no
        cross join lateral (
            select
                coalesce((p.weights ->> o.source)::double precision, 0)
                * case p.kind when 'rrf' then 1.0::double precision / (60 + s.rank) else s.part end
                as contribution
        ) as c
        where p.policy_no = p_policy_no and p.kind in ('weighted', 'rrf')
        group by s.item_no
        having sum(c.contribution) > 0
    ) as f;
end;

comment on function recsql.weighted_fused(integer, integer, integer, integer) is
'What a policy of kind weighted or rrf gives, of others nothing. weighted: weight × the source''s score on a common scale; rrf: '
'weight / (60 + rank), Cormack et al. 2009.';
