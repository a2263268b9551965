-- recsql.source_score: one row per user, source and item that the source has scored.
create function recsql.source_score(p_run_no integer, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, source_no smallint, item_no integer, score double precision, rank bigint)
language sql
stable
begin atomic
    select s.user_no, s.source_no, unnest(s.item_nos), unnest(s.scores)::double precision,
        generate_series(1, cardinality(s.item_nos)::bigint)
    from recsql.source_ranking(p_run_no, p_first_user_no, p_last_user_no) as s;
end;

comment on function recsql.source_score(integer, integer, integer) is
'What each source says of each candidate of the users in a range of user_no, with the rank in the source''s own order.';
