-- recsql.begin_run: number of the run.
create function recsql.begin_run(p_split_no integer, p_fingerprint text, p_config jsonb)
returns integer
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_run_no integer;
    v_table text;
begin
    insert into run (split_no, last_event_no, fingerprint, config)
    values (p_split_no, (select coalesce(max(event_no), 0) from event), p_fingerprint, p_config)
    returning run_no into v_run_no;
    foreach v_table in array
        array[
            'interaction', 'user_sequence', 'item_popularity', 'item_similarity', 'user_similarity', 'segment_popularity',
            'candidate', 'score', 'recommendation'
        ]
    loop
        perform add_list_partition(('recsql.' || v_table)::regclass, v_run_no);
    end loop;
    return v_run_no;
end
$$;

comment on function recsql.begin_run(integer, text, jsonb) is
'Begins a run on a split (null: on everything that has happened) and gives it its partitions. Returns its number.';
