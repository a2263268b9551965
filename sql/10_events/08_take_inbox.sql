-- recsql.take_inbox: number of rows taken.
create function recsql.take_inbox(p_load_no integer)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_rows bigint;
begin
    perform add_list_partition('event_inbox', p_load_no, true);
    with gone as (
        delete from event_inbox_0 returning *
    )
    insert into event_inbox (inbox_no, load_no, line_no, user_id, item_id, kind, value, at, request_id)
    select g.inbox_no, p_load_no, g.line_no, g.user_id, g.item_id, g.kind, g.value, g.at, g.request_id
    from gone as g;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.take_inbox(integer) is
'Takes what applications copied into event_inbox under a load of its own, for clean_events in the same transaction.';
