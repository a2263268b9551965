-- recsql.source_ranking: one row per user and source; items and scores the best first.
create function recsql.source_ranking(p_run_no integer, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, source_no smallint, item_nos integer [], scores real [])
language sql
stable
begin atomic
    select c.user_no, c.source_no, c.item_nos, c.scores
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
    select x.user_no, s.source_no, x.item_nos, x.scores
    from recsql.score as x
    inner join recsql.model_version as v on v.version_no = x.version_no
    inner join recsql.model as m on m.model_no = v.model_no
    inner join recsql.source as s on s.source = m.model
    where x.run_no = p_run_no and x.user_no between p_first_user_no and p_last_user_no;
end;

comment on function recsql.source_ranking(integer, integer, integer) is
'What each source says of the candidates of the users in a range of user_no: its items, the best first, and their scores.';
