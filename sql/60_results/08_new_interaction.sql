-- recsql.new_interaction: one row per user of a run who has positive items that an earlier run could not know.
create function recsql.new_interaction(p_run_no integer, p_earlier_run_no integer)
returns table (user_no integer, n_known integer)
language sql
stable
begin atomic
    with earlier as (
        select b.split_no, b.as_of, coalesce(s.last_event_no, b.last_event_no) as last_event_no
        from recsql.run as b
        left join recsql.split as s on s.split_no = b.split_no
        where b.run_no = p_earlier_run_no
    ),

    judged as (
        select
            i.user_no,
            i.step,
            i.event_no > b.last_event_no
            or case
                when b.split_no is null then i.at > b.as_of
                else c.user_no is null or t.item_no is null or (i.at, i.event_no) > (c.cut_at, c.cut_event_no)
            end as is_new
        from recsql.interaction as i
        cross join earlier as b
        left join recsql.split_cut as c on c.split_no = b.split_no and c.user_no = i.user_no
        left join recsql.split_item as t on t.split_no = b.split_no and t.item_no = i.item_no
        where i.run_no = p_run_no and i.step is not null
    )

    select j.user_no, (count(*) - 1 - max(j.step) filter (where j.is_new))::integer
    from judged as j
    group by j.user_no
    having bool_or(j.is_new);
end;

comment on function recsql.new_interaction(integer, integer) is
'The users of a run whose sequence has something that an earlier run could not know: an event, or a repetition of one, that came later, '
'or an item that was not in its catalogue. n_known: how many items of the sequence stand before the first such one.';
