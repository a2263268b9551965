-- recsql.fusion_branch_reason: null for a branch that can be taken.
create function recsql.fusion_branch_reason(p_branch jsonb)
returns text
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
declare
    v_key text;
begin
    if jsonb_typeof(p_branch) <> 'object' or jsonb_typeof(p_branch -> 'use') is distinct from 'string' then
        return 'must be an object whose "use" names a source or a policy';
    end if;
    select k.key into v_key
    from jsonb_object_keys(p_branch) as k (key)
    where k.key not in ('use', 'min_history', 'max_history', 'segment', 'domain')
    limit 1;
    if found then
        return format('%L is no condition', v_key);
    end if;
    if p_branch - 'use' = '{}' then
        return 'has no condition, which "else" is for';
    end if;
    foreach v_key in array array['min_history', 'max_history']
    loop
        if p_branch ? v_key and not is_count(p_branch -> v_key, 0, 1000000) then
            return format('%I must be a whole number from 0 on', v_key);
        end if;
    end loop;
    if (p_branch ->> 'min_history')::numeric > (p_branch ->> 'max_history')::numeric then
        return 'min_history is more than max_history, so it fits nobody';
    end if;
    if jsonb_typeof(p_branch -> 'segment') <> 'object' or p_branch -> 'segment' = '{}' then
        return 'segment must be an object of attributes';
    end if;
    if jsonb_typeof(p_branch -> 'domain') <> 'string' then
        return 'domain must be a name';
    end if;
    return null;
end
$$;

comment on function recsql.fusion_branch_reason(jsonb) is 'Why a branch of a switching policy cannot be taken, null where it can.';
