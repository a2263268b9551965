-- recsql.newcomer_part: one row per newcomer that is not published for the user, and like something that is; unordered.
create function recsql.newcomer_part(p_run_no integer, p_user_no integer, p_taste vector)
returns table (item_no integer, contribution double precision)
language sql
stable
begin atomic
    with space as materialized (
        select c.space_no from recsql.content_space as c
    ),

    near as materialized (
        select n.item_no, e.embedding
        from recsql.newcomer(p_run_no) as n
        inner join recsql.item_embedding as e on e.space_no = (select s.space_no from space as s) and e.item_no = n.item_no
        where
            p_taste is not null and vector_norm(e.embedding) > 0
            and not exists (
                select from recsql.recommendation as r
                where r.run_no = p_run_no and r.user_no = p_user_no and r.item_no = n.item_no
            )
        order by e.embedding <=> p_taste, n.item_no
        limit 20
    ),

    listed as materialized (
        select r.score, e.embedding
        from recsql.recommendation as r
        inner join recsql.item_embedding as e on e.space_no = (select s.space_no from space as s) and e.item_no = r.item_no
        where r.run_no = p_run_no and r.user_no = p_user_no and r.rank <= 50 and vector_norm(e.embedding) > 0
    )

    select n.item_no, max(l.score * power(greatest(0, 1 - (n.embedding <=> l.embedding)), 2))
    from near as n
    cross join listed as l
    group by n.item_no
    having max(1 - (n.embedding <=> l.embedding)) > 0;
end;

comment on function recsql.newcomer_part(integer, integer, vector) is
'What a newcomer is worth to a user before anybody has done anything with it: the score of what is published for the user, the first '
'50, times the square of the cosine of their contents, at its best. Of the 20 newcomers that are nearest to p_taste (content_taste) and not '
'published for the user themselves.';
