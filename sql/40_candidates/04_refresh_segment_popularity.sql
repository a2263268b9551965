-- recsql.refresh_segment_popularity: number of segments.
create function recsql.refresh_segment_popularity(p_run_no integer, p_source text, p_items integer default 1000)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '256MB'
as $$
declare
    v_source source;
    v_rows bigint;
begin
    select * into v_source from source where source = p_source and kind = 'segment';
    if not found then
        raise exception 'there is no source % of kind segment', p_source
            using errcode = 'RS001', hint = 'Sources are rows of recsql.source.';
    end if;
    delete from segment_popularity where run_no = p_run_no and source_no = v_source.source_no;
    insert into segment_popularity (run_no, source_no, segment, item_nos, scores)
    with member as materialized (
        select u.user_no, user_segment(u.attributes, v_source.segment_keys) as segment from app_user as u
    ),

    scored as (
        select m.segment, i.item_no, sum(i.weight) as score
        from interaction as i
        inner join member as m on m.user_no = i.user_no
        where i.run_no = p_run_no and i.step is not null and m.segment is not null
        group by m.segment, i.item_no
    ),

    ranked as (
        select s.segment, s.item_no, s.score,
            row_number() over (partition by s.segment order by s.score desc, s.item_no) as rank
        from scored as s
    )

    select p_run_no, v_source.source_no, r.segment, array_agg(r.item_no order by r.rank), array_agg(r.score order by r.rank)
    from ranked as r
    where r.rank <= p_items
    group by r.segment;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.refresh_segment_popularity(integer, text, integer) is
'What users who share the attributes of a source of kind segment consumed most, the p_items most popular items of each segment. '
'Replaces the run''s earlier rows, returns the number of segments. Errors: RS001 no such source.';
