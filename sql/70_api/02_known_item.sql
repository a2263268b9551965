-- recsql.known_item: the newest first.
create function recsql.known_item(p_run_no integer, p_user_no integer)
returns table (item_no integer, weight double precision)
language sql
stable
begin atomic
    select i.item_no, i.weight::double precision
    from recsql.interaction as i
    where
        i.run_no = p_run_no and i.user_no = p_user_no
        and i.step < (select max(s.history_length) from recsql.source as s where s.is_active or s.added_to is not null)
    order by i.step;
end;

comment on function recsql.known_item(integer, integer) is
'The positive items of a user that a run knows, as far back as any active source reads, with their weights: the first is step 0.';
