-- recsql.switching_fused: unordered.
create function recsql.switching_fused(
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
    with branch as (
        select
            b.place,
            b.branch ->> 'use' as name,
            coalesce((b.branch ->> 'min_history')::numeric::integer, 0) as min_history,
            (b.branch ->> 'max_history')::numeric::integer as max_history,
            coalesce(b.branch -> 'segment', '{}') as segment,
            b.branch ->> 'domain' as domain
        from jsonb_array_elements((v_config -> 'branches') || jsonb_build_object('use', v_config -> 'else'))
            with ordinality as b (branch, place)
    ),

    reader as (
        select c.user_no, coalesce(a.attributes, '{}') as attributes, (
            select count(*) from interaction as i
            where i.run_no = p_run_no and i.user_no = c.user_no and i.step is not null
        ) as n_items
        from (
            select distinct c.user_no from candidate as c
            where c.run_no = p_run_no and c.user_no between p_first_user_no and p_last_user_no
        ) as c
        left join app_user as a on a.user_no = c.user_no
    ),

    -- The first branch that fits a user and the domain of an item.
    assigned as materialized (
        select r.user_no, d.domain, min(b.place) as place
        from reader as r
        cross join domain as d
        inner join branch as b
            on (b.domain is null or b.domain = d.domain)
            and r.n_items >= b.min_history and (b.max_history is null or r.n_items <= b.max_history)
            and r.attributes @> b.segment
        group by r.user_no, d.domain
    ),

    -- Each branch that somebody has, once.
    taken as materialized (
        select b.place, b.name from branch as b where b.place in (select a.place from assigned as a)
    ),

    said as materialized (
        select t.place, f.*
        from taken as t
        cross join lateral named_fused(p_run_no, t.name, p_first_user_no, p_last_user_no) as f
    )

    select s.user_no, s.item_no, v_scale * s.score, weighed_parts(s.parts, v_scale * s.score / s.total)
    from said as s
    inner join item as i on i.item_no = s.item_no
    inner join assigned as a on a.user_no = s.user_no and a.domain = i.domain and a.place = s.place
    where s.score > 0;
end
$$;

comment on function recsql.switching_fused(integer, integer, integer, integer) is
'What a policy of kind switching gives: each user, or each user in a domain, has the list of the first branch that fits, by the number of '
'positive items in the run''s history, the user''s attributes (segment must be contained in them) and the domain of the item, else '
'that of "else"; all on the scale of the policy''s own weights.';
