-- recsql.fuse: number of rows written.
create function recsql.fuse(
    p_run_no integer, p_policy_no integer, p_first_user_no integer, p_last_user_no integer, p_n integer default 100
)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '256MB'
as $$
declare
    v_rows bigint;
begin
    delete from recommendation
    where run_no = p_run_no and user_no between p_first_user_no and p_last_user_no;
    insert into recommendation (run_no, user_no, rank, item_no, score, parts)
    select p_run_no, r.user_no, r.rank, r.item_no, r.score, r.parts
    from (
        select f.*, row_number() over (partition by f.user_no order by f.score desc, f.item_no) as rank
        from fused(p_run_no, p_policy_no, p_first_user_no, p_last_user_no) as f
    ) as r
    where r.rank <= p_n
    order by r.user_no, r.rank;
    get diagnostics v_rows = row_count;
    update run set policy_no = p_policy_no where run_no = p_run_no and policy_no is distinct from p_policy_no;
    return v_rows;
end
$$;

comment on function recsql.fuse(integer, integer, integer, integer, integer) is
'Writes the p_n best fused items of the users in a range of user_no, replacing those that were there, and '
'notes the policy with the run. Returns their number.';
