-- recsql.claim_embeddings: one row per task that is the worker's own from now on.
create function recsql.claim_embeddings(p_space_no integer, p_worker_no integer, p_n integer)
returns table (item_no integer, content_hash bytea)
language sql
volatile
set search_path = recsql, pg_temp
begin atomic
    with chosen as materialized (
        select t.item_no
        from recsql.embedding_task as t
        where
            t.space_no = p_space_no
            and (t.claimed_by is null or t.claimed_by not in (select w.worker_no from recsql.embedding_worker as w))
            and (t.not_before is null or t.not_before <= now())
            and (
                t.provider is null
                or t.provider not in (select p.provider from recsql.embedding_provider as p where p.not_before > now())
            )
        order by t.item_no
        limit p_n
        for update skip locked
    )

    update recsql.embedding_task as t set claimed_by = p_worker_no
    from chosen as c
    where t.space_no = p_space_no and t.item_no = c.item_no
    returning t.item_no, t.content_hash;
end;

comment on function recsql.claim_embeddings(integer, integer, integer) is
'Gives a worker up to p_n tasks of a space that no other worker has, whose time has come, and whose provider is not given time. '
'They are its own until it writes them, gives them up or its session ends. Content is read after the claim: what is written '
'then is for the hash that was claimed, or a newer one, which write_embeddings refuses.';
