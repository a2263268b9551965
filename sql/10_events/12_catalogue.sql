-- recsql.catalogue: the items that a run ranks.
create function recsql.catalogue(p_run_no integer)
returns table (item_no integer, allows_repeat boolean)
language sql
stable
begin atomic
    select i.item_no, d.allows_repeat
    from recsql.run as r
    cross join recsql.item as i
    inner join recsql.domain as d on d.domain = i.domain
    where r.run_no = p_run_no and r.split_no is null and i.available
    union all
    select s.item_no, d.allows_repeat
    from recsql.run as r
    inner join recsql.split_item as s on s.split_no = r.split_no
    inner join recsql.item as i on i.item_no = s.item_no
    inner join recsql.domain as d on d.domain = i.domain
    where r.run_no = p_run_no;
end;

comment on function recsql.catalogue(integer) is
'The items that a run ranks, and whether their domain allows an item to be recommended again.';
