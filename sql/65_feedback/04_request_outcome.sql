-- recsql.request_outcome: as outcome, of one request.
create function recsql.request_outcome(p_request_id uuid)
returns setof recsql.outcome
language plpgsql
stable
set search_path = recsql, pg_temp
-- A known request lets the view read its events alone, which a join with requests would not.
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select o.* from outcome as o where o.request_id = p_request_id;
end
$$;

comment on function recsql.request_outcome(uuid) is
'The rows of outcome of one request, found by its id without reading those of others.';
