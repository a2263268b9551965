-- recsql.exact_vector_candidates: the p_n nearest items of each user; unordered.
create function recsql.exact_vector_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_version_no integer,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean
)
returns table (user_no integer, item_no integer, score double precision)
language sql
stable
begin atomic
    -- Copies, so that vectors that the table keeps apart are read once.
    with member as materialized (
        select m.item_no, m.embedding
        from (
            select v.item_no, subvector(v.embedding, 1, vector_dims(v.embedding)) as embedding
            from recsql.item_vector as v
            where v.version_no = p_version_no
            union all
            -- Vectors of length 1 need only their inner product for their cosine.
            select e.item_no, l2_normalize(e.embedding)
            from recsql.item_embedding as e
            where
                p_version_no is null and e.space_no = (select s.space_no from recsql.run_space(p_run_no) as s)
                and vector_norm(e.embedding) > 0
        ) as m
        where p_is_live or m.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
    ),

    reader as materialized (
        select
            u.user_no,
            u.barred_nos,
            case
                when p_version_no is null then l2_normalize(q.embedding)
                else subvector(q.embedding, 1, vector_dims(q.embedding))
            end as embedding
        from recsql.query_vector(p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_is_live) as q
        inner join recsql.candidate_user(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as u on u.user_no = q.user_no
        where p_version_no is not null or vector_norm(q.embedding) > 0
    )

    select u.user_no, n.item_no, -n.distance
    from reader as u
    cross join lateral (
        select g.item_no, g.distance
        from (
            select m.item_no, m.embedding <#> u.embedding as distance
            from member as m
            where m.item_no not in (select unnest(u.barred_nos))
            order by distance, m.item_no
        ) as g
        where not p_is_live or exists (select from recsql.catalogue(p_run_no) as c where c.item_no = g.item_no offset 0)
        limit p_n
    ) as n;
end;

comment on function recsql.exact_vector_candidates(integer, smallint, integer, integer, integer, integer, boolean) is
'vector_candidates by comparing each user''s query_vector with every item of the run''s catalogue: with the item vectors of a '
'model version, or, where p_version_no is null, with the content vectors.';
