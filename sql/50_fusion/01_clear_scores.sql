-- recsql.clear_scores: nothing.
create function recsql.clear_scores(p_run_no integer)
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    execute format('truncate recsql.%I', add_list_partition('score', p_run_no));
end
$$;

comment on function recsql.clear_scores(integer) is 'Removes what an earlier attempt scored of a run.';
