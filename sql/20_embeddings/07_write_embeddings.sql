-- recsql.write_embeddings: number of vectors written.
create function recsql.write_embeddings(
    p_space_no integer, p_worker_no integer, p_item_nos integer [], p_hashes bytea [], p_embeddings vector []
)
returns bigint
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_written integer[];
begin
    with given as (
        select g.item_no, g.content_hash, g.embedding
        from unnest(p_item_nos, p_hashes, p_embeddings) as g (item_no, content_hash, embedding)
    ),

    done as (
        delete from embedding_task as t
        using given as g
        where
            t.space_no = p_space_no and t.item_no = g.item_no and t.content_hash = g.content_hash
            and t.claimed_by = p_worker_no
        returning t.item_no
    ),

    recovered as (
        delete from embedding_failure as f
        using done as d
        where f.space_no = p_space_no and f.item_no = d.item_no
    ),

    written as (
        insert into item_embedding (space_no, item_no, content_hash, embedding)
        select p_space_no, g.item_no, g.content_hash, g.embedding
        from given as g
        inner join done as d on d.item_no = g.item_no
        on conflict (space_no, item_no) do update
            set content_hash = excluded.content_hash, embedding = excluded.embedding, embedded_at = now()
        returning item_no
    )

    select array_agg(w.item_no) into v_written from written as w;
    if exists (select from embedding_space as s where s.modality = 'unified' and p_space_no = any(s.source_nos)) then
        perform queue_embedding(v_written, array['unified']);
    end if;
    return coalesce(cardinality(v_written), 0);
end
$$;

comment on function recsql.write_embeddings(integer, integer, integer [], bytea [], vector []) is
'Writes vectors for tasks that are the worker''s own and still ask for the same content; the others are left out, since their items '
'have changed, and wait anew, or are gone. Queues the items for the spaces that unite this one.';
