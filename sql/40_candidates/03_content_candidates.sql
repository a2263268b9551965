-- recsql.content_candidates: the p_n nearest items of each user.
create function recsql.content_candidates(
    p_run_no integer, p_source_no smallint, p_first_user_no integer, p_last_user_no integer, p_n integer
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 200
as $$
declare
    v_space content_space;
begin
    select * into v_space from content_space;
    if not found then
        return;
    end if;
    return query execute format($sql$
        with profile as (
            select h.user_no,
                sum(
                    e.embedding::vector(%1$s)
                    * array_fill(recsql.step_weight(o.history_decay, o.history_rate, h.step)::real, array[%1$s])::vector(%1$s)
                ) as embedding
            from recsql.source as o
            inner join recsql.interaction as h
                on h.run_no = $1 and h.step < o.history_length and h.user_no between $3 and $4
            inner join recsql.item_embedding as e on e.space_no = %2$s and e.item_no = h.item_no
            where o.source_no = $2
            group by h.user_no
        )
        select p.user_no, n.item_no, 1 - n.distance
        from profile as p
        cross join lateral (
            select e.item_no, e.embedding::vector(%1$s) <=> p.embedding as distance
            from recsql.item_embedding as e
            inner join recsql.catalogue($1) as c on c.item_no = e.item_no
            where
                e.space_no = %2$s
                and (c.allows_repeat or not exists (
                    select from recsql.interaction as i
                    where i.run_no = $1 and i.user_no = p.user_no and i.item_no = e.item_no
                ))
            order by e.embedding::vector(%1$s) <=> p.embedding
            limit $5
        ) as n
    $sql$, v_space.dim, v_space.space_no) using p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_n;
end
$$;

comment on function recsql.content_candidates(integer, smallint, integer, integer, integer) is
'Items whose content is nearest to what each user had of late: cosine between the item''s embedding and the sum of the recent '
'items'' embeddings, the newer the heavier.';
