-- recsql.source_part: one row per user, source and item: the source's score on a scale that sources share.
create function recsql.source_part(p_run_no integer, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, source_no smallint, item_no integer, part double precision, rank bigint)
language sql
stable
begin atomic
    select
        r.user_no,
        r.source_no,
        s.item_no,
        case
            when o.kind in ('vector', 'score', 'cross_domain')
                -- All may be its best.
                then coalesce((s.score - b.lowest) / nullif(b.highest - b.lowest, 0), 1)
            else s.score / coalesce(nullif(b.highest, 0), 1)
        end as part,
        s.rank
    from recsql.source_ranking(p_run_no, p_first_user_no, p_last_user_no) as r
    inner join recsql.source as o on o.source_no = r.source_no
    cross join lateral (
        select min(s.score)::double precision as lowest, max(s.score)::double precision as highest
        from unnest(r.scores) as s (score)
    ) as b
    cross join lateral unnest(r.item_nos, r.scores) with ordinality as s (item_no, score, rank);
end;

comment on function recsql.source_part(integer, integer, integer) is
'What each source says of each candidate, from 0 to 1: score divided by the user''s best, for sources that are vectors or '
'models after the user''s lowest has been taken away. An item that a source does not have counts 0 there, so the parts of single events add up.';
