-- recsql_api.policy_estimate: one row per estimator and form, and one of what was logged.
create function recsql_api.policy_estimate(
    p_policy text,
    p_from timestamptz default null,
    p_until timestamptz default null,
    p_slot text default null,
    p_domain text default null,
    p_segment jsonb default null,
    p_logging_policy text default null
)
returns table (
    estimator text,
    form text,
    value double precision,
    standard_error double precision,
    lo double precision,
    hi double precision,
    difference double precision,
    difference_lo double precision,
    difference_hi double precision,
    effective_size double precision,
    mean_weight double precision,
    largest_weight double precision,
    unsupported double precision,
    n_requests bigint,
    n_rejected bigint
)
language plpgsql
stable
security definer
set search_path = recsql, pg_temp
as $$
declare
    v_policy_no integer := (select p.ranking_policy_no from ranking_policy as p where p.policy = p_policy);
begin
    if v_policy_no is null then
        raise exception 'there is no ranking policy %', coalesce(p_policy, 'null')
            using errcode = 'RS001', hint = '''recsql policy list'' shows them.';
    end if;
    return query
    select e.*
    from recsql.policy_estimate(v_policy_no, p_from, p_until, p_slot, p_domain, p_segment, p_logging_policy) as e
    order by e.estimator <> 'logged', e.form desc, e.estimator;
end
$$;

comment on function recsql_api.policy_estimate(text, timestamptz, timestamptz, text, text, jsonb, text) is
'What a ranking policy would have been worth in any part of the log that ''recsql ope'' has read for it: mean reward of a request by each '
'estimator and form, what was logged first. p_from, p_until: time of the request, the latter exclusive, null for any; p_slot, p_domain: of the '
'request; p_segment: attributes of the user, as jsonb containment; p_logging_policy: of the request. Of the result lo, hi: 95 % interval; difference: to what '
'was logged; unsupported: share of what the policy would show that the log cannot. A row is no verdict: see policy_value. Errors: RS001 no such '
'policy.';
