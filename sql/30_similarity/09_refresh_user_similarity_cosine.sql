-- recsql.refresh_user_similarity_cosine: number of users who have neighbours.
create function recsql.refresh_user_similarity_cosine(
    p_run_no integer,
    p_history integer default 50,
    p_item_users integer default 100,
    p_shrinkage real default 5,
    p_neighbours integer default 50,
    p_source text default 'user_cosine'
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '256MB'
as $$
declare
    v_source_no smallint := (select s.source_no from source as s where s.source = p_source and s.kind = 'user');
    v_rows bigint;
begin
    if v_source_no is null then
        raise exception 'there is no source % of kind user', p_source
            using errcode = 'RS001', hint = 'Sources are rows of recsql.source.';
    end if;
    delete from user_similarity where run_no = p_run_no and source_no = v_source_no;
    insert into user_similarity (run_no, source_no, user_no, neighbour_nos, similarities)
    with recent as materialized (
        select i.user_no, i.item_no, i.weight, sqrt(sum(i.weight * i.weight) over (partition by i.user_no)) as norm,
            row_number() over (partition by i.item_no order by i.at desc, i.event_no desc) as place
        from interaction as i
        where i.run_no = p_run_no and i.step < p_history
    ),

    audience as materialized (
        select r.item_no, array_agg(r.user_no) as user_nos, array_agg(r.weight / r.norm) as weights
        from recent as r
        where r.place <= p_item_users
        group by r.item_no
    ),

    reader as materialized (
        select r.user_no, array_agg(r.item_no) as item_nos, array_agg(r.weight / r.norm) as weights
        from recent as r
        group by r.user_no
    )

    -- User by user, so that the sums of one user stay in the processor's cache.
    select p_run_no, v_source_no, u.user_no, n.neighbour_nos, n.similarities
    from reader as u
    cross join lateral (
        select
            array_agg(b.user_no order by b.similarity desc, b.user_no) as neighbour_nos,
            array_agg(b.similarity order by b.similarity desc, b.user_no) as similarities
        from (
            select p.user_no, (sum(p.product) * count(*) / (count(*) + p_shrinkage))::real as similarity
            from (
                select unnest(a.user_nos) as user_no, h.weight * unnest(a.weights) as product
                from unnest(u.item_nos, u.weights) as h (item_no, weight)
                inner join audience as a on a.item_no = h.item_no
            ) as p
            where p.user_no <> u.user_no
            group by p.user_no
            order by similarity desc, p.user_no
            limit p_neighbours
        ) as b
    ) as n
    where n.neighbour_nos is not null;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_user_similarity_cosine(integer, integer, integer, real, integer, text) is
'How similar users are: cosine of their weights over the newest p_history items of each, times n / (n + p_shrinkage) for the n '
'items that they share, where of each item the newest p_item_users users take part, so that the work is bounded. Keeps the '
'p_neighbours most similar of each user, replaces the run''s earlier rows, returns the number of users who have neighbours. '
'Errors: RS001 no such source.';
