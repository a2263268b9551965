-- recsql.policy_weight: one row per impression and form.
create function recsql.policy_weight(
    p_ranking_policy_no integer,
    p_from timestamptz default null,
    p_until timestamptz default null,
    p_slot text default null,
    p_domain text default null,
    p_segment jsonb default null,
    p_logging_policy text default null
)
returns table (
    request_id uuid,
    "position" integer,
    form text,
    is_usable boolean,
    reward double precision,
    weight double precision,
    predicted double precision,
    expected double precision,
    unsupported double precision
)
language sql
stable
begin atomic
    with paired as (
        select
            o.request_id,
            f.position,
            o.reward::double precision as reward,
            t.propensity as target,
            o.propensity::double precision as logged,
            t.conditional / nullif(o.conditional::double precision, 0) as ratio,
            t.predicted,
            t.expected,
            (o.reason is null and o.propensity > 0 and o.conditional > 0 and t.propensity is not null) is true as is_whole
        from recsql.request as r
        inner join recsql.app_user as u on u.user_no = r.user_no
        inner join recsql.outcome as o on o.request_id = r.request_id
        cross join lateral (select recsql.free_position(r.controls, o.position) as position) as f
        left join recsql.policy_propensity as t
            on t.ranking_policy_no = p_ranking_policy_no and t.request_id = o.request_id and t.position = f.position
        where
            f.position is not null
            and (p_from is null or r.at >= p_from)
            and (p_until is null or r.at < p_until)
            and (p_slot is null or r.slot = p_slot)
            and (p_domain is null or r.domain = p_domain)
            and (p_segment is null or u.attributes @> p_segment)
            and (p_logging_policy is null or r.policy = p_logging_policy)
    ),

    weighted as (
        select
            p.*,
            bool_and(p.is_whole) over (partition by p.request_id) as is_usable,
            p.target / nullif(p.logged, 0) as by_position,
            -- The product; a factor of 0 has no logarithm.
            case
                -- Squares and cubes of the rest are within range.
                when min(p.ratio) over above = 0 or sum(ln(nullif(p.ratio, 0))) over above < -140 then 0
                else exp(least(sum(ln(nullif(p.ratio, 0))) over above, 230))
            end as by_cascade
        from paired as p
        window above as (partition by p.request_id order by p.position)
    )

    select
        w.request_id,
        w.position::integer,
        f.form,
        w.is_usable,
        w.reward,
        f.weight,
        w.predicted,
        w.expected,
        case when w.logged >= 1 - 1e-6 then 1 - w.target else 0 end
    from weighted as w
    cross join lateral (values ('position', w.by_position), ('cascade', w.by_cascade)) as f (form, weight);
end;

comment on function recsql.policy_weight(integer, timestamptz, timestamptz, text, text, jsonb, text) is
'The importance weights of a ranking policy over what was logged. form: position (ratio of the propensities) or cascade (product of the '
'ratios of the conditional ones down to the position); is_usable: whether the whole request is, that is, no propensity is missing or 0 and no '
'outcome was refused; position: pins, which every policy shows, aside; unsupported: how much of the policy''s probability lies on what the log can never show here. p_from, p_until: of '
'request.at, the latter exclusive; p_segment: attributes that the user must have.';
