-- recsql.source_score: one row per user, source and item that the source has scored.
create function recsql.source_score(p_run_no integer, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, source_no smallint, item_no integer, score double precision, rank bigint)
language sql
stable
begin atomic
    select c.user_no, c.source_no, unnest(c.item_nos), unnest(c.scores)::double precision,
        generate_series(1, cardinality(c.item_nos)::bigint)
    from recsql.candidate as c
    where
        c.run_no = p_run_no and c.user_no between p_first_user_no and p_last_user_no
        and not exists (
            select from recsql.source as s
            inner join recsql.model as m on m.model = s.source
            inner join recsql.model_version as v on v.model_no = m.model_no and v.run_no = p_run_no
            where s.source_no = c.source_no and s.kind = 'vector'
        )
    union all
    -- A model has scored all candidates, also those of the other sources.
    select x.user_no, s.source_no, unnest(x.item_nos), unnest(x.scores)::double precision,
        generate_series(1, cardinality(x.item_nos)::bigint)
    from recsql.score as x
    inner join recsql.model_version as v on v.version_no = x.version_no
    inner join recsql.model as m on m.model_no = v.model_no
    inner join recsql.source as s on s.source = m.model
    where x.run_no = p_run_no and x.user_no between p_first_user_no and p_last_user_no;
end;

comment on function recsql.source_score(integer, integer, integer) is
'What each source says of each candidate of the users in a range of user_no, with the rank in the source''s own order.';
