-- recsql.redrive_rejected: number of rows moved back.
create function recsql.redrive_rejected(p_load_no integer, p_reason text default null, p_only_load_no integer default null)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_rows bigint;
begin
    perform add_list_partition('event_inbox', p_load_no, true);
    with gone as (
        delete from event_rejected as r
        where
            r.raw is null
            and (p_reason is null or starts_with(r.reason, p_reason))
            and (p_only_load_no is null or r.load_no = p_only_load_no)
        returning r.*
    )
    insert into event_inbox (load_no, line_no, user_id, item_id, kind, value, at, request_id)
    select p_load_no, g.line_no, g.user_id, g.item_id, g.kind, g.value, g.at, g.request_id
    from gone as g
    order by g.rejected_no;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql.redrive_rejected(integer, text, integer) is
'Moves refused events back into the inbox under a new load, after what was wrong has been mended; clean_events then decides '
'again. p_reason: only those whose reason starts with it; p_only_load_no: only those of one load. Returns their number.';
