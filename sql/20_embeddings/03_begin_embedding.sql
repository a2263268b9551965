-- recsql.begin_embedding: number of the session as an embedding worker.
create function recsql.begin_embedding()
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_worker_no integer := nextval('embedding_worker_no');
begin
    perform pg_advisory_lock(1701013868, v_worker_no);
    return v_worker_no;
end
$$;

comment on function recsql.begin_embedding() is
'Makes the session an embedding worker and returns its number. What it claims is its own until the session ends.';
