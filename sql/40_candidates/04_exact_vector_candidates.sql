-- recsql.exact_vector_candidates: the p_n nearest items of each user; unordered.
create function recsql.exact_vector_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_set text,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
-- A user's known items are as many as the items that they are taken from: hashed once, not compared pair by pair.
set enable_nestloop = off
as $$
declare
    v_set vector_set;
begin
    select * into v_set from vector_set as s where s.vector_set = p_set;
    -- Vectors of length 1 need only their inner product for their cosine; both forms are copies, read from the table once.
    return query execute format(
        $sql$
            with item as materialized (
                select c.item_no, c.allows_repeat, %1$s as embedding
                from recsql.catalogue($1) as c
                inner join recsql.%3$I as v on v.item_no = c.item_no
                where %2$s
            ),
            known as materialized (
                select n.user_no, array_agg(n.item_no) as item_nos
                from recsql.known_interaction($1, $3, $4, $6) as n
                inner join item as i on i.item_no = n.item_no and not i.allows_repeat
                group by n.user_no
            ),
            query as materialized (
                select v.user_no, %1$s as embedding, coalesce(k.item_nos, '{}') as known_nos
                from recsql.query_vector($1, $2, $3, $4, $6) as v
                left join known as k on k.user_no = v.user_no
                where %2$s
            )
            select q.user_no, n.item_no, -n.distance
            from query as q
            cross join lateral (
                select m.item_no, m.distance
                from (
                    select i.item_no, i.embedding <#> q.embedding as distance
                    from item as i
                    order by i.embedding <#> q.embedding, i.item_no
                    limit $5 + cardinality(q.known_nos)
                ) as m
                left join unnest(q.known_nos) as k (item_no) on k.item_no = m.item_no
                where k.item_no is null
                order by m.distance, m.item_no
                limit $5
            ) as n
        $sql$,
        case v_set.measure when 'cosine' then 'l2_normalize(v.embedding)' else format('subvector(v.embedding, 1, %s)', v_set.dim) end,
        case v_set.measure when 'cosine' then 'vector_norm(v.embedding) > 0' else 'true' end,
        p_set
    ) using p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_n, p_is_live;
end
$$;

comment on function recsql.exact_vector_candidates(integer, smallint, text, integer, integer, integer, boolean) is
'vector_candidates by comparing each user''s query_vector with every item of the run''s catalogue.';
