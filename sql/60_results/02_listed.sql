-- recsql.listed: unordered.
create function recsql.listed(p_run_no integer, p_method text, p_k integer)
returns table (user_no integer, item_no integer, "position" bigint)
language sql
stable
begin atomic
    select p.user_no, p.item_no, p.position
    from (
        select
            r.user_no,
            r.item_no,
            row_number() over (partition by r.user_no order by r.score desc, r.item_no) as position
        from recsql.ranked(p_run_no, p_method) as r
    ) as p
    where p.position <= p_k;
end;

comment on function recsql.listed(integer, text, integer) is
'The first p_k items of each user by one method of a run (ranked), position from 1; of items with equal scores the smaller number comes first.';
