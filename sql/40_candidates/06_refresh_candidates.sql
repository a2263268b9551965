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
    v_version_no integer;
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
    if exists (select from run where run_no = p_run_no and split_no is not null) then
        -- An offline figure must not depend on the recall of an index.
        perform set_config('enable_indexscan', 'off', true);
    end if;

    if v_source.kind = 'similarity' then
        insert into candidate (run_no, user_no, source_no, rank, item_no, score)
        select p_run_no, r.user_no, v_source.source_no, r.rank, r.item_no, r.score
        from (
            select s.user_no, s.item_no, s.score,
                row_number() over (partition by s.user_no order by s.score desc, s.item_no) as rank
            from similarity_candidates(p_run_no, v_source.source_no, p_first_user_no, p_last_user_no) as s
            inner join catalogue(p_run_no) as c on c.item_no = s.item_no
            left join interaction as i
                on i.run_no = p_run_no and i.user_no = s.user_no and i.item_no = s.item_no
            where s.score > 0 and (c.allows_repeat or i.item_no is null)
        ) as r
        where r.rank <= p_n
        order by r.user_no, r.rank;
    else
        if p_source not in ('content', 'trending', 'popularity') then
            select max(v.version_no) into v_version_no
            from model_version as v
            inner join model as m using (model_no)
            where v.run_no = p_run_no and m.model = p_source;
        end if;
        insert into candidate (run_no, user_no, source_no, rank, item_no, score)
        select p_run_no, s.user_no, v_source.source_no,
            row_number() over (partition by s.user_no order by s.score desc, s.item_no), s.item_no, s.score
        from (
            select * from content_candidates(p_run_no, v_source.source_no, p_first_user_no, p_last_user_no, p_n)
            where p_source = 'content'
            union all
            select * from popularity_candidates(
                p_run_no, p_source = 'trending', p_first_user_no, p_last_user_no, p_n
            )
            where p_source in ('trending', 'popularity')
            union all
            select * from model_candidates(p_run_no, v_version_no, p_first_user_no, p_last_user_no, p_n)
            where v_version_no is not null
        ) as s;
    end if;
    get diagnostics v_rows = row_count;
    if exists (select from run where run_no = p_run_no and split_no is not null) then
        perform set_config('enable_indexscan', 'on', true);
    end if;
    return v_rows;
end
$$;

comment on function recsql.refresh_candidates(integer, text, integer, integer, integer) is
'Writes the p_n best candidates of one source for a range of user_no, replacing those that were there. Offline runs use exact '
'vector search. Returns the number of rows.';
