-- recsql.similarity_candidates: unordered; items that users know already are among them.
create function recsql.similarity_candidates(
    p_run_no integer, p_source_no smallint, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision)
language sql
stable
begin atomic
    -- Weighed once a history item, not once a pair.
    with history as materialized (
        select
            h.user_no,
            h.item_no,
            l.list_no,
            recsql.step_weight(l.history_decay, l.history_rate, h.step) * h.weight as weight
        from recsql.source_list as l
        inner join recsql.interaction as h
            on h.run_no = p_run_no and h.step < l.history_length
            and h.user_no between p_first_user_no and p_last_user_no
        where l.source_no = p_source_no
    )

    select h.user_no, s.neighbour_no as item_no, sum(h.weight * s.similarity) as score
    from history as h
    inner join recsql.item_similarity as s
        on s.run_no = p_run_no and s.source_no = h.list_no and s.item_no = h.item_no
    group by h.user_no, s.neighbour_no;
end;

comment on function recsql.similarity_candidates(integer, smallint, integer, integer) is
'Collaborative filtering as one weighted join: the score of an item is the sum, over the user''s recent items, of recency × '
'weight × similarity, added up over the lists of the source. Users are given as a range of user_no.';
