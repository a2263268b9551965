-- recsql.segment_candidates: the p_n most popular items of each user's segment; unordered.
create function recsql.segment_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean default false
)
returns table (user_no integer, item_no integer, score double precision)
language sql
stable
begin atomic
    select u.user_no, n.item_no, n.score::double precision
    from recsql.source as o
    cross join recsql.candidate_user(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as u
    inner join recsql.app_user as a on a.user_no = u.user_no
    inner join recsql.segment_popularity as s
        on s.run_no = p_run_no and s.source_no = p_source_no and s.segment = recsql.user_segment(a.attributes, o.segment_keys)
    cross join lateral (
        select i.item_no, i.score
        from unnest(s.item_nos, s.scores) with ordinality as i (item_no, score, position)
        where
            i.item_no not in (select unnest(u.barred_nos))
            and case
                when p_is_live then exists (select from recsql.catalogue(p_run_no) as c where c.item_no = i.item_no offset 0)
                else i.item_no in (select c.item_no from recsql.catalogue(p_run_no) as c)
            end
        order by i.position
        limit p_n
    ) as n
    where o.source_no = p_source_no;
end;

comment on function recsql.segment_candidates(integer, smallint, integer, integer, integer, boolean) is
'What users with the same attributes, those of the source''s segment_keys, consumed most and the user does not know yet, neither, '
'p_is_live, since the run. Users without the attributes have no rows.';
