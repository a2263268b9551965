-- recsql.live_candidates: best first.
create function recsql.live_candidates(p_user_no integer, p_source text, p_n integer default 150, p_slot text default 'default')
returns table (item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
-- Planning takes longer than answering.
set plan_cache_mode = force_generic_plan
as $$
declare
    v_source source;
    v_run_no integer := (select r.run_no from release as r where r.slot = p_slot);
begin
    select * into v_source from source where source = p_source;
    if not found then
        raise exception 'there is no source %', p_source
            using errcode = 'RS001',
            hint = (select 'Sources are ' || string_agg(source, ', ' order by source_no) || '.' from source);
    end if;
    case v_source.kind
        when 'similarity' then
            return query
            select c.item_no, c.score
            from similarity_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'user' then
            return query
            select c.item_no, c.score
            from user_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'popularity' then
            return query
            select c.item_no, c.score
            from popularity_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'trending' then
            return query
            select c.item_no, c.score
            from trending_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'segment' then
            return query
            select c.item_no, c.score
            from segment_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'new' then
            return query
            select c.item_no, c.score
            from new_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'cross_domain' then
            return query
            select c.item_no, c.score
            from cross_domain_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'vector' then
            return query
            select c.item_no, c.score
            from vector_candidates(v_run_no, v_source.source_no, p_user_no, p_user_no, p_n, true) as c
            order by c.score desc, c.item_no;
        when 'score' then
            return;
    end case;
end
$$;

comment on function recsql.live_candidates(integer, text, integer, text) is
'The p_n best candidates of one source for one user, best first, by the released run and what the user did since. Where nothing '
'happened since they are those that refresh_candidates writes; none by a source of kind score. Errors: RS001 unknown source.';
