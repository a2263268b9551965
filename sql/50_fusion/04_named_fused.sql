-- recsql.named_fused: unordered.
create function recsql.named_fused(p_run_no integer, p_name text, p_first_user_no integer, p_last_user_no integer)
returns table (user_no integer, item_no integer, score double precision, parts jsonb, total double precision)
language plpgsql
stable
set search_path = recsql, pg_temp
-- About what a chunk of users has: the default would have joins by nested loops.
rows 100000
as $$
declare
    v_policy_no integer := (select f.policy_no from fusion_policy as f where f.policy = p_name);
    v_scale double precision := fusion_scale(v_policy_no);
    v_source_no smallint := (select s.source_no from source as s where s.source = p_name);
begin
    if v_policy_no is not null then
        return query
        select f.user_no, f.item_no, f.score / v_scale, f.parts, f.score
        from fused(p_run_no, v_policy_no, p_first_user_no, p_last_user_no) as f;
    else
        return query
        select s.user_no, s.item_no, s.part, jsonb_build_object(p_name, 1), 1.0::double precision
        from source_part(p_run_no, p_first_user_no, p_last_user_no) as s
        where s.source_no = v_source_no;
    end if;
end
$$;

comment on function recsql.named_fused(integer, text, integer, integer) is
'What a source or a fusion policy says of the candidates of the users in a range of user_no: score, from 0 to 1 where every source puts '
'an item first, and parts that sum to total.';
