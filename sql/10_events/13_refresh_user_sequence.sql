-- recsql.refresh_user_sequence: number of rows written.
create function recsql.refresh_user_sequence(p_run_no integer, p_length integer default 640)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
-- Of arrays every element is counted, and how long they are shows in a few.
set default_statistics_target = 10
as $$
declare
    v_partition text := add_list_partition('user_sequence', p_run_no);
    v_rows bigint;
begin
    execute format('truncate recsql.%I', v_partition);
    insert into user_sequence (run_no, user_no, item_nos, weights, ratings)
    select
        p_run_no,
        i.user_no,
        array_agg(i.item_no order by i.step),
        array_agg(i.weight order by i.step),
        array_agg(i.rating order by i.step)
    from interaction as i
    where i.run_no = p_run_no and i.step < p_length
    group by i.user_no
    order by i.user_no;
    get diagnostics v_rows = row_count;
    execute format('analyze recsql.%I', v_partition);
    return v_rows;
end
$$;

comment on function recsql.refresh_user_sequence(integer, integer) is
'Writes the newest p_length positive items of each user as arrays, from the run''s interactions. Three arrays of 640 just fit '
'into a page, where they are read without being fetched from elsewhere. Returns the number of rows.';
