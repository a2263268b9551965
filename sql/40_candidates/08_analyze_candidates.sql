-- recsql.analyze_candidates: fresh statistics.
create function recsql.analyze_candidates()
returns void
language plpgsql
set search_path = recsql, pg_temp
-- Of arrays every element is counted, and how long they are shows in a few.
set default_statistics_target = 10
as $$
begin
    analyze candidate;
end
$$;

comment on function recsql.analyze_candidates() is 'Fresh statistics of candidate, before its rows are joined.';
