-- recsql.history: one row per user of whom something is known.
create function recsql.history(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_is_live boolean default false
)
returns table (
    user_no integer, list_nos smallint [], item_nos integer [], weights double precision [], barred_nos integer []
)
language sql
stable
begin atomic
    select
        k.user_no,
        array_agg(l.list_no order by k.step, l.list_no) filter (where k.step < l.history_length),
        array_agg(k.item_no order by k.step, l.list_no) filter (where k.step < l.history_length),
        array_agg(recsql.step_weight(l.history_decay, l.history_rate, k.step) * k.weight order by k.step, l.list_no)
        filter (where k.step < l.history_length),
        coalesce(
            array_agg(k.item_no order by k.step) filter (
                where
                not l.is_added
                and (
                    not (select exists (select from recsql.domain as d where d.allows_repeat))
                    or not exists (
                        select from recsql.item as i
                        inner join recsql.domain as d on d.domain = i.domain and d.allows_repeat
                        where i.item_no = k.item_no
                    )
                )
            ),
            '{}'
        )
    from recsql.source_list as l
    cross join recsql.known_interaction(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as k
    where l.source_no = p_source_no
    group by k.user_no;
end;

comment on function recsql.history(integer, smallint, integer, integer, boolean) is
'What a source reads of each user in a range of user_no: the newest positive items, the newest first, with recency × '
'weight and the list that they are looked up in (each item once for each list that the source sums), and '
'the items that the user may not be given (see candidate_user).';
