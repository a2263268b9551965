-- recsql.query_vector: one row per user who has one.
create function recsql.query_vector(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_is_live boolean default false
)
returns table (user_no integer, embedding vector)
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
declare
    v_version_no integer := source_version(p_run_no, p_source_no);
    v_space content_space;
begin
    if v_version_no is not null then
        return query
        select u.user_no, u.embedding
        from user_vector as u
        where u.version_no = v_version_no and u.user_no between p_first_user_no and p_last_user_no;
        return;
    end if;
    select * into v_space from run_space(p_run_no);
    return query
    select h.user_no, sum(e.embedding * array_fill(n.weight::real, array[v_space.dim])::vector)
    from history(p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_is_live) as h
    cross join lateral unnest(h.item_nos, h.weights) as n (item_no, weight)
    inner join item_embedding as e on e.space_no = v_space.space_no and e.item_no = n.item_no
    group by h.user_no;
end
$$;

comment on function recsql.query_vector(integer, smallint, integer, integer, boolean) is
'What a vector source looks for in a user''s name: the user vector of the source''s model in the run, or, of a source without a '
'model, the sum of the recent items'' content vectors, the newer the heavier. p_is_live: with what the user did since the run.';
