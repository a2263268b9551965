-- recsql.vector_candidates: the p_n nearest items of each user; unordered.
create function recsql.vector_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_exact_items integer default 20000
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 200
as $$
declare
    v_version_no integer := source_version(p_run_no, p_source_no);
    v_space content_space;
    v_items text;
    v_distance text;
    v_offset integer;
    v_is_exact boolean;
begin
    if v_version_no is not null then
        select 'item_vector_' || v.version_no, format('v.embedding::vector(%1$s) <#> u.embedding::vector(%1$s)', v.dim), 0
        into v_items, v_distance, v_offset
        from model_version as v
        where v.version_no = v_version_no;
    else
        select * into v_space from content_space;
        if not found then
            return;
        end if;
        v_items := 'item_embedding_' || v_space.space_no;
        v_distance := format('v.embedding::vector(%1$s) <=> u.embedding::vector(%1$s)', v_space.dim);
        v_offset := 1;
    end if;
    -- An offline figure must not depend on the recall of an index, and a short list is read faster than an index.
    v_is_exact := exists (select from run as r where r.run_no = p_run_no and r.split_no is not null)
        or (select c.reltuples <= p_exact_items from pg_class as c where c.oid = ('recsql.' || v_items)::regclass);
    if v_is_exact then
        return query execute format($sql$
            with items as materialized (
                select v.item_no, v.embedding, c.allows_repeat
                from recsql.%1$I as v
                inner join recsql.catalogue($1) as c on c.item_no = v.item_no
            ),
            users as materialized (
                select q.user_no, q.embedding,
                    (select count(*) from recsql.interaction as i where i.run_no = $1 and i.user_no = q.user_no) as n_known
                from recsql.query_vector($1, $2, $3, $4) as q
            )
            select u.user_no, n.item_no, %3$s - n.distance
            from users as u
            cross join lateral (
                select m.item_no, m.distance
                from (
                    select v.item_no, v.allows_repeat, %2$s as distance
                    from items as v
                    order by %2$s
                    limit $5 + u.n_known
                ) as m
                where m.allows_repeat or not exists (
                    select from recsql.interaction as i
                    where i.run_no = $1 and i.user_no = u.user_no and i.item_no = m.item_no
                )
                order by m.distance, m.item_no
                limit $5
            ) as n
        $sql$, v_items, v_distance, v_offset) using p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_n;
    else
        return query execute format($sql$
            select u.user_no, n.item_no, %3$s - n.distance
            from recsql.query_vector($1, $2, $3, $4) as u
            cross join lateral (
                select v.item_no, %2$s as distance
                from recsql.%1$I as v
                inner join recsql.item as t on t.item_no = v.item_no and t.available
                inner join recsql.domain as d on d.domain = t.domain
                where
                    d.allows_repeat or not exists (
                        select from recsql.interaction as i
                        where i.run_no = $1 and i.user_no = u.user_no and i.item_no = v.item_no
                    )
                order by %2$s
                limit $5
            ) as n
        $sql$, v_items, v_distance, v_offset) using p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_n;
    end if;
end
$$;

comment on function recsql.vector_candidates(integer, smallint, integer, integer, integer, integer) is
'The items nearest to each user''s query_vector: by inner product with the item vectors of the source''s model, or by cosine with '
'the content vectors. Exact in offline runs and up to p_exact_items items, else through the HNSW index with iterative scans.';
