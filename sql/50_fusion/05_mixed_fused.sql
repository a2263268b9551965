-- recsql.mixed_fused: unordered.
create function recsql.mixed_fused(
    p_run_no integer, p_policy_no integer, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision, parts jsonb)
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_slots jsonb := (select f.config -> 'slots' from fusion_policy as f where f.policy_no = p_policy_no);
    v_scale double precision := fusion_scale(p_policy_no);
begin
    return query
    with ranked as (
        select s.key as name, s.value::numeric::integer as quota, f.*,
            row_number() over (partition by s.key, f.user_no order by f.score desc, f.item_no) as rank
        from jsonb_each_text(v_slots) as s
        cross join lateral named_fused(p_run_no, s.key, p_first_user_no, p_last_user_no) as f
    ),

    -- Whatever has a quota of q has its first q items in the first block of places, spread over it evenly. What several propose
    -- belongs to the one by which it comes first.
    owned as (
        select distinct on (r.user_no, r.item_no) r.*
        from ranked as r
        order by r.user_no, r.item_no, (r.rank - 0.5::double precision) / r.quota, r.quota desc, r.name
    ),

    slot as (
        select o.*, row_number() over (partition by o.user_no, o.name order by o.rank) as nth
        from owned as o
    ),

    placed as (
        select s.*, v_scale * place_score(
            row_number() over (
                partition by s.user_no order by (s.nth - 0.5::double precision) / s.quota, s.quota desc, s.name
            )
        ) as place_score
        from slot as s
    )

    select p.user_no, p.item_no, p.place_score, weighed_parts(p.parts, p.place_score / p.total)
    from placed as p;
end
$$;

comment on function recsql.mixed_fused(integer, integer, integer, integer) is
'What a policy of kind mixed gives: every block of as many places as there are slots has each name''s quota of items, in that name''s '
'order; an item that several propose takes the slot that comes first, and the others move up. Where a name has no item left the '
'rest closes up. The score is that of the place (place_score) on the scale of the policy''s weights.';
