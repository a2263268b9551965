-- recsql.fusion_config_reason: null for a config that its kind can be executed by.
create function recsql.fusion_config_reason(p_kind text, p_config jsonb)
returns text
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
declare
    v_known text[] := case p_kind
        when 'switching' then '{branches,else}' when 'mixed' then '{slots}' when 'cascade' then '{first,second,keep}' else '{}'
    end;
    v_key text;
    v_value jsonb;
begin
    if p_kind = 'ranker' then
        return null;
    end if;
    select k.key into v_key from jsonb_object_keys(p_config) as k (key) where k.key <> all (v_known) limit 1;
    if found then
        return format('%L means nothing to kind %s', v_key, p_kind);
    end if;
    case p_kind
        when 'switching' then
            if jsonb_typeof(p_config -> 'branches') is distinct from 'array' or p_config -> 'branches' = '[]' then
                return '"branches" must be a list of one branch or more';
            end if;
            if jsonb_typeof(p_config -> 'else') is distinct from 'string' then
                return '"else" must name what serves where no branch fits';
            end if;
            for v_value in select b.branch from jsonb_array_elements(p_config -> 'branches') as b (branch)
            loop
                if fusion_branch_reason(v_value) is not null then
                    return format('branch %s: %s', v_value, fusion_branch_reason(v_value));
                end if;
            end loop;
        when 'mixed' then
            if jsonb_typeof(p_config -> 'slots') is distinct from 'object' or p_config -> 'slots' = '{}' then
                return '"slots" must be an object of names and quotas';
            end if;
            for v_key, v_value in select s.key, s.value from jsonb_each(p_config -> 'slots') as s
            loop
                if not is_count(v_value, 1, 100) then
                    return format('the quota of %L is %s, but must be a whole number from 1 to 100', v_key, v_value);
                end if;
            end loop;
        when 'cascade' then
            foreach v_key in array array['first', 'second']
            loop
                if jsonb_typeof(p_config -> v_key) is distinct from 'string' then
                    return format('%I must name a source or a policy', v_key);
                end if;
            end loop;
            if not is_count(p_config -> 'keep', 1, 1000) then
                return format(
                    '"keep" is %s, but must be a whole number from 1 to 1000', coalesce(p_config ->> 'keep', 'missing')
                );
            end if;
        else
            null;
    end case;
    return null;
end
$$;

comment on function recsql.fusion_config_reason(text, jsonb) is
'Why a fusion policy of a kind cannot have a config, null where it can. Whether what it names exists is for check_fusion_policy.';
