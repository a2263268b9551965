-- recsql.controlled: unordered; higher scores rank first.
create function recsql.controlled(p_run_no integer, p_controls jsonb, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
#variable_conflict use_column
declare
    v_controls jsonb := slot_control(null, p_controls);
    v_n integer;
begin
    perform check_controls(p_controls);
    v_n := coalesce((p_controls ->> 'n')::numeric::integer, 10);
    if v_controls ? 'exposure' then
        return query
        select r.*
        from reexposed(
            p_run_no, p_controls - 'exposure', (v_controls -> 'exposure')::double precision, p_first_user_no, p_last_user_no
        ) as r;
        return;
    end if;
    return query
    select l.user_no, o.item_no, o.score
    from (
        select
            r.user_no, array_agg(r.item_no order by r.rank) as item_nos,
            array_agg(r.score::double precision order by r.rank) as scores
        from recommendation as r
        where r.run_no = p_run_no and r.user_no between p_first_user_no and p_last_user_no and r.rank <= 5 * v_n
        group by r.user_no
    ) as l
    cross join lateral unnest(
        l.item_nos, reordered(p_run_no, l.user_no, null, v_controls, l.item_nos, l.scores, v_n)
    ) as o (item_no, score);
end
$$;

comment on function recsql.controlled(integer, jsonb, integer, integer) is
'The lists of a run, of the users in a range of user_no, as recommend() would order them with controls: the best 5 × n of each user, in steps '
'(reordered). p_controls: as check_controls has them, n: length of the lists, 10 if it is not there. Errors: RS002 unknown controls, or out of range.';
