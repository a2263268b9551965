-- recsql.log_request: nothing.
create function recsql.log_request(
    p_request recsql.request,
    p_item_nos integer [],
    p_propensities double precision [],
    p_conditionals double precision []
)
returns void
language sql
begin atomic
    insert into recsql.request values (p_request.*);
    insert into recsql.impression (request_id, position, user_no, item_no, run_no, policy, propensity, conditional, at)
    select p_request.request_id, s.position, p_request.user_no, s.item_no, p_request.run_no, p_request.policy,
        least(s.propensity, 1), least(s.conditional, 1), p_request.at
    from unnest(p_item_nos, p_propensities, p_conditionals) with ordinality as s (item_no, propensity, conditional, position);
    insert into recsql.experiment_user (experiment_no, user_no, variant_no, first_at)
    select v.experiment_no, p_request.user_no, v.variant_no, p_request.at
    from recsql.variant as v
    where v.variant_no = p_request.variant_no
    on conflict do nothing;
end;

comment on function recsql.log_request(recsql.request, integer [], double precision [], double precision []) is
'Writes a request with its pool, and what it shows, from the first position on, with the probabilities of it; the first of a user in an '
'experiment notes that he is in it.';
