-- recsql.refresh_user_similarity_vectors: number of users who have neighbours.
create function recsql.refresh_user_similarity_vectors(
    p_run_no integer, p_source text, p_pool integer default 20000, p_neighbours integer default 50
)
returns bigint
language plpgsql
set search_path = recsql, public, pg_temp
set work_mem = '256MB'
as $$
declare
    v_source source;
    v_version_no integer;
    v_rows bigint;
begin
    select * into v_source from source as s where s.source = p_source and s.vectors_of is not null;
    if not found then
        raise exception 'there is no source % of users by learned vectors', p_source
            using errcode = 'RS001', hint = 'Sources are rows of recsql.source; vectors_of names the model.';
    end if;
    delete from user_similarity where run_no = p_run_no and source_no = v_source.source_no;
    select max(v.version_no) into v_version_no
    from source as s
    inner join model as m on m.model = s.source
    inner join model_version as v on v.model_no = m.model_no and v.run_no = p_run_no
    where s.source_no = v_source.vectors_of;
    insert into user_similarity (run_no, source_no, user_no, neighbour_nos, similarities)
    with pool as materialized (
        select u.user_no, u.embedding
        from user_vector as u
        inner join interaction as i on i.run_no = p_run_no and i.user_no = u.user_no and i.step = 0
        where u.version_no = v_version_no and vector_norm(u.embedding) > 0
        order by i.at desc, i.event_no desc
        limit p_pool
    )

    select p_run_no, v_source.source_no, u.user_no, n.neighbour_nos, n.similarities
    from user_vector as u
    cross join lateral (
        select
            array_agg(b.user_no order by b.similarity desc, b.user_no) as neighbour_nos,
            array_agg(b.similarity order by b.similarity desc, b.user_no) as similarities
        from (
            select p.user_no, (1 - (p.embedding <=> u.embedding))::real as similarity
            from pool as p
            where p.user_no <> u.user_no
            order by similarity desc, p.user_no
            limit p_neighbours
        ) as b
        where b.similarity > 0
    ) as n
    where u.version_no = v_version_no and vector_norm(u.embedding) > 0 and n.neighbour_nos is not null;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_user_similarity_vectors(integer, text, integer, integer) is
'How similar users are by what a model learned of them (meta-level fusion): the cosine of their vectors, where above 0, by the run''s '
'version of the model that the source names (vectors_of), among the p_pool users who were active last, so that the work is bounded. Keeps the '
'p_neighbours most similar of each user, replaces the run''s earlier rows, returns the number of users who have neighbours, 0 where '
'the run has no such version. Errors: RS001 no such source.';
