-- recsql.candidate_user: one row per user who gets candidates.
create function recsql.candidate_user(
    p_run_no integer, p_first_user_no integer, p_last_user_no integer, p_is_live boolean default false
)
returns table (user_no integer, barred_nos integer [])
language sql
stable
begin atomic
    select
        u.user_no,
        coalesce(
            array_agg(u.item_no) filter (
                where
                u.item_no is not null
                and (
                    -- Asked once; mostly there is no such domain, and then no item needs to be looked at.
                    not (select exists (select from recsql.domain as d where d.allows_repeat))
                    or not exists (
                        select from recsql.item as i
                        inner join recsql.domain as d on d.domain = i.domain and d.allows_repeat
                        where i.item_no = u.item_no
                    )
                )
            ),
            '{}'
        )
    from (
        select k.user_no, k.item_no
        from recsql.known_interaction(p_run_no, p_first_user_no, p_last_user_no, p_is_live) as k
        union all
        -- Users of a protocol of whom nothing is known yet get what recommend() would give them.
        select c.user_no, null
        from recsql.run as r
        inner join recsql.split_cut as c on c.split_no = r.split_no
        where r.run_no = p_run_no and c.user_no between p_first_user_no and p_last_user_no
        union all
        select a.user_no, null
        from recsql.app_user as a
        where p_is_live and a.user_no between p_first_user_no and p_last_user_no
    ) as u
    group by u.user_no;
end;

comment on function recsql.candidate_user(integer, integer, integer, boolean) is
'The users in a range of user_no who get candidates, with the items that they may not be given: those that they know, unless '
'their domain allows repeats.';
