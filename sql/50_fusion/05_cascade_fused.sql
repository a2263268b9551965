-- recsql.cascade_fused: unordered.
create function recsql.cascade_fused(
    p_run_no integer, p_policy_no integer, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision, parts jsonb)
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_config jsonb := (select f.config from fusion_policy as f where f.policy_no = p_policy_no);
    v_scale double precision := fusion_scale(p_policy_no);
begin
    return query
    with ranked as (
        select f.*, row_number() over (partition by f.user_no order by f.score desc, f.item_no) as rank
        from named_fused(p_run_no, v_config ->> 'first', p_first_user_no, p_last_user_no) as f
    ),

    judged as (
        select r.*, s.score as second_score, s.parts as second_parts, s.total as second_total
        from ranked as r
        left join named_fused(p_run_no, v_config ->> 'second', p_first_user_no, p_last_user_no) as s
            on s.user_no = r.user_no and s.item_no = r.item_no and r.rank <= (v_config ->> 'keep')::numeric::integer
    ),

    placed as (
        select j.*, v_scale * place_score(
            row_number() over (
                partition by j.user_no
                order by j.rank > (v_config ->> 'keep')::numeric::integer, j.second_score desc nulls last, j.rank
            )
        ) as place_score
        from judged as j
    )

    -- That it is here at all is the first one's doing, its place the second one's.
    select p.user_no, p.item_no, p.place_score,
        case
            when p.second_score is null then weighed_parts(p.parts, p.place_score / p.total)
            else weighed_parts(
                p.parts, p.place_score / p.total / 2, p.second_parts, p.place_score / p.second_total / 2
            )
        end
    from placed as p;
end
$$;

comment on function recsql.cascade_fused(integer, integer, integer, integer) is
'What a policy of kind cascade gives: the best keep items of first in the order of second, those of which second says nothing behind '
'them, and then the others in the order of first. The score is that of the place (place_score) on the scale of the policy''s weights; '
'it is shared evenly by the parts of both where both had a say.';
