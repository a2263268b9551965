-- recsql.refresh_item_popularity: number of rows written.
create function recsql.refresh_item_popularity(p_run_no integer, p_half_life interval default '14 days')
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_partition text := add_list_partition('item_popularity', p_run_no);
    v_rows bigint;
begin
    execute format('truncate recsql.%I', v_partition);
    insert into item_popularity (run_no, item_no, n_users, popularity, trend)
    select
        p_run_no,
        i.item_no,
        count(*),
        sum(i.weight),
        sum(i.weight * faded(newest.at - i.at, p_half_life))
    from interaction as i
    cross join (select max(at) as at from interaction where run_no = p_run_no) as newest
    where i.run_no = p_run_no and i.step is not null
    group by i.item_no
    order by i.item_no;
    get diagnostics v_rows = row_count;
    execute format('analyze recsql.%I', v_partition);
    update run as r
    set newcomer_nos = array(
        select n.item_no
        from item as n
        where
            n.created_at > r.as_of - interval '14 days' and n.available
            and not exists (select from item_popularity as p where p.run_no = p_run_no and p.item_no = n.item_no)
        order by n.created_at desc, n.item_no
        limit 200
    )
    where r.run_no = p_run_no;
    return v_rows;
end
$$;

comment on function recsql.refresh_item_popularity(integer, interval) is
'Writes how many users each item has and how much it is consumed of late (age halves it every p_half_life, counted from the '
'newest interaction), and notes in the run the newcomers: items of its last fourteen days, the newest 200, that nobody has had. '
'Returns the number of rows.';
