-- recsql.vector_candidates: the p_n nearest items of each user; unordered.
create function recsql.vector_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean default false
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
set search_path = recsql, public, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    -- Up to so many items, many users at once are compared with all of them sooner than the index finds them one by one.
    c_exact_items constant double precision := 20000;
    v_version_no integer := source_version(p_run_no, p_source_no);
    v_set text := coalesce(
        'item_vector_' || v_version_no, (select 'item_embedding_' || s.space_no from run_space(p_run_no) as s)
    );
    v_rows double precision := (select s.n_rows from vector_set as s where s.vector_set = v_set);
begin
    if v_set is null then
        return;
    end if;
    -- An offline figure must not depend on the recall of an index.
    if coalesce(v_rows, 0) <= c_exact_items
        or exists (select from run as r where r.run_no = p_run_no and r.split_no is not null)
    then
        -- Of a constant p_is_live, as everywhere, only one arm is planned.
        if p_is_live then
            return query
            select c.user_no, c.item_no, c.score
            from exact_vector_candidates(
                p_run_no, p_source_no, v_version_no, p_first_user_no, p_last_user_no, p_n, true
            ) as c;
        else
            return query
            select c.user_no, c.item_no, c.score
            from exact_vector_candidates(
                p_run_no, p_source_no, v_version_no, p_first_user_no, p_last_user_no, p_n, false
            ) as c;
        end if;
    else
        return query
        select q.user_no, n.item_no, n.similarity
        from query_vector(p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_is_live) as q
        cross join lateral nearest_items(
            v_set, q.embedding, p_n, null, '{}',
            array(
                select k.item_no
                from known_interaction(p_run_no, q.user_no, q.user_no, p_is_live) as k
                inner join item as t on t.item_no = k.item_no
                inner join domain as d on d.domain = t.domain and not d.allows_repeat
            )
        ) as n;
    end if;
end
$$;

comment on function recsql.vector_candidates(integer, smallint, integer, integer, integer, boolean) is
'The items nearest to each user''s query_vector: by inner product with the item vectors of the source''s model, or by cosine with '
'the content vectors, less what the user knows unless its domain allows repeats. Exact in offline runs and up to 20,000 items, '
'else as nearest_items finds them. p_is_live: events since the run count as well.';
