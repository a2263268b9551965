-- recsql.give_up_embedding: nothing.
create function recsql.give_up_embedding(
    p_space_no integer,
    p_worker_no integer,
    p_item_no integer,
    p_content_hash bytea,
    p_error text,
    p_provider text default null
)
returns void
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    c_max_attempts constant integer := 6;
    v_attempts integer := (
        select t.attempts + 1
        from embedding_task as t
        where
            t.space_no = p_space_no and t.item_no = p_item_no and t.content_hash = p_content_hash
            and t.claimed_by = p_worker_no
        for update
    );
begin
    if p_provider is not null then
        insert into embedding_provider as p (provider, n_failures, not_before, error)
        values (p_provider, 1, now() + interval '2 s', p_error)
        on conflict (provider) do update
            set
                n_failures = least(p.n_failures + 1, 12),
                -- Doubled each time, up to an hour.
                not_before = now() + least(interval '1 s' * 2 ^ least(p.n_failures + 1, 12), interval '1 h'),
                error = excluded.error;
    end if;
    if v_attempts is null then
        return;
    end if;
    if p_provider is not null and v_attempts < c_max_attempts then
        update embedding_task as t
        set
            attempts = v_attempts, error = p_error, claimed_by = null,
            not_before = now() + least(interval '5 s' * 4 ^ v_attempts, interval '6 h')
        where t.space_no = p_space_no and t.item_no = p_item_no;
        return;
    end if;
    delete from embedding_task as t where t.space_no = p_space_no and t.item_no = p_item_no;
    insert into embedding_failure as f (space_no, item_no, content_hash, error, attempts)
    values (p_space_no, p_item_no, p_content_hash, p_error, v_attempts)
    on conflict (space_no, item_no) do update
        set
            content_hash = excluded.content_hash, error = excluded.error, attempts = excluded.attempts, failed_at = now();
end
$$;

comment on function recsql.give_up_embedding(integer, integer, integer, bytea, text, text) is
'Sets a task aside that the worker could not do: for good, in embedding_failure with its error, or, where a provider did not answer, '
'for a time that grows with each of six attempts; the provider is given time as well, 2 s at first and up to an hour.';
