-- recsql.queue_embedding: number of tasks that were added or renewed.
create function recsql.queue_embedding(p_item_nos integer [] default null, p_modalities text [] default null)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
-- One item is looked up, a whole catalogue joined: only a plan for the call at hand does both.
set plan_cache_mode = force_custom_plan
as $$
declare
    v_rows bigint;
begin
    insert into embedding_task as t (space_no, item_no, content_hash, provider)
    select c.space_no, c.item_no, c.content_hash, c.provider
    from embeddable as c
    left join item_embedding as e on e.space_no = c.space_no and e.item_no = c.item_no
    left join embedding_failure as f on f.space_no = c.space_no and f.item_no = c.item_no
    where
        (p_item_nos is null or c.item_no = any(p_item_nos))
        and (p_modalities is null or c.modality = any(p_modalities))
        and e.content_hash is distinct from c.content_hash
        and f.content_hash is distinct from c.content_hash
    on conflict (space_no, item_no) do update
        set
            content_hash = excluded.content_hash, provider = excluded.provider, attempts = 0, error = null,
            not_before = null, claimed_by = null, queued_at = now()
        where t.content_hash <> excluded.content_hash;
    get diagnostics v_rows = row_count;
    if v_rows > 0 then
        perform pg_notify('recsql_embedding', '');
    end if;
    return v_rows;
end
$$;

comment on function recsql.queue_embedding(integer [], text []) is
'Queues the items whose content is not what their vector stands for, in every space that is not retired, and wakes the workers '
'when the transaction commits; idempotent. Content that failed is left out until it changes. p_item_nos, p_modalities: only '
'these; null for all.';
