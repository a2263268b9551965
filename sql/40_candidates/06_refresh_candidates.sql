-- recsql.refresh_candidates: number of rows written.
create function recsql.refresh_candidates(
    p_run_no integer, p_source text, p_first_user_no integer, p_last_user_no integer, p_n integer default 150
)
returns bigint
language plpgsql
set search_path = recsql, public, pg_temp
set work_mem = '256MB'
as $$
declare
    v_source source;
    v_rows bigint;
begin
    select * into v_source from source where source = p_source;
    if not found then
        raise exception 'there is no source %', p_source
            using errcode = 'RS001',
            hint = (select 'Sources are ' || string_agg(source, ', ' order by source_no) || '.' from source);
    end if;
    delete from candidate
    where
        run_no = p_run_no and source_no = v_source.source_no
        and user_no between p_first_user_no and p_last_user_no;
    insert into candidate (run_no, user_no, source_no, rank, item_no, score)
    select p_run_no, r.user_no, v_source.source_no, r.rank, r.item_no, r.score
    from (
        select s.user_no, s.item_no, s.score,
            row_number() over (partition by s.user_no order by s.score desc, s.item_no) as rank
        from (
            select v.user_no, v.item_no, v.score
            from vector_candidates(p_run_no, v_source.source_no, p_first_user_no, p_last_user_no, p_n) as v
            where v_source.kind = 'vector'
            union all
            select p.user_no, p.item_no, p.score
            from popularity_candidates(
                p_run_no, p_source = 'trending', p_first_user_no, p_last_user_no, p_n
            ) as p
            where v_source.kind = 'popularity'
            union all
            select n.user_no, n.item_no, n.score
            from similarity_candidates(p_run_no, v_source.source_no, p_first_user_no, p_last_user_no) as n
            inner join catalogue(p_run_no) as c on c.item_no = n.item_no
            left join interaction as i
                on i.run_no = p_run_no and i.user_no = n.user_no and i.item_no = n.item_no
            where v_source.kind = 'similarity' and n.score > 0 and (c.allows_repeat or i.item_no is null)
        ) as s
    ) as r
    where r.rank <= p_n
    order by r.user_no, r.rank;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_candidates(integer, text, integer, integer, integer) is
'Writes the p_n best candidates of one source for a range of user_no, replacing those that were there. Offline runs use exact '
'vector search. Returns the number of rows.';
