-- recsql.newcomer: unordered.
create function recsql.newcomer(p_run_no integer)
returns table (item_no integer)
language sql
stable
begin atomic
    select unnest(r.newcomer_nos) from recsql.run as r where r.run_no = p_run_no
    union
    (
        select n.item_no
        from recsql.item as n
        where n.created_at > (select r.as_of from recsql.run as r where r.run_no = p_run_no)
        order by n.created_at desc
        limit 200
    );
end;

comment on function recsql.newcomer(integer) is
'Items with which nobody has done anything that a run knows: those that it noted (run.newcomer_nos) and the newest 200 that came after.';
