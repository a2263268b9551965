-- recsql.compiled_condition: one row.
create function recsql.compiled_condition(p_condition jsonb, p_of text, p_prefix text, out path text, out vars jsonb)
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_keys text[];
    v_key text;
    v_value jsonb;
    v_type text;
    v_types text[];
    v_base text;
    v_at text;
    v_part record;
    v_parts text[] := '{}';
begin
    if jsonb_typeof(p_condition) is distinct from 'object' then
        raise exception 'a condition must be a JSON object, not %', left(coalesce(p_condition::text, 'null'), 100)
            using errcode = 'RS002',
            hint = '{"attribute": "genres", "op": "contains", "value": "Comedy"}, {"all": […]}, {"any": […]} or {"not": …}.';
    end if;
    v_keys := array(select jsonb_object_keys(p_condition) order by 1);
    if v_keys in ('{all}', '{any}', '{not}') then
        v_key := v_keys[1];
        v_value := case v_key when 'not' then jsonb_build_array(p_condition -> 'not') else p_condition -> v_key end;
        if jsonb_typeof(v_value) <> 'array' or jsonb_array_length(v_value) not between 1 and 1000 or length(p_prefix) > 100 then
            raise exception '"%" takes a list of 1 to 1000 conditions, of not too many levels', v_key
                using errcode = 'RS002', hint = 'Write one comparison without it, and many values of one attribute with op in.';
        end if;
        vars := '{}';
        for v_part in
            select c.path, c.vars
            from jsonb_array_elements(v_value) with ordinality as e (condition, nth)
            cross join lateral compiled_condition(e.condition, p_of, p_prefix || '_' || e.nth) as c
            order by e.nth
        loop
            v_parts := v_parts || ('(' || v_part.path || ')');
            vars := vars || v_part.vars;
        end loop;
        path := case v_key when 'not' then '!' else '' end
            || array_to_string(v_parts, case v_key when 'any' then ' || ' else ' && ' end);
        return;
    end if;
    v_key := p_condition ->> 'attribute';
    if v_keys not in ('{attribute,op,value}', '{attribute,op}') or jsonb_typeof(p_condition -> 'attribute') <> 'string' then
        raise exception 'a comparison has the keys attribute, op and value, not %', left(array_to_string(v_keys, ', '), 100)
            using errcode = 'RS002', hint = 'For example {"attribute": "genres", "op": "contains", "value": "Comedy"}.';
    end if;
    v_type := own_column(p_of, v_key);
    v_types := case when v_type is null then attribute_type(p_of, v_key) else array[v_type] end;
    if v_types is null then
        raise exception 'no % has an attribute %', p_of, left(v_key, 100)
            using errcode = 'RS001', hint = 'The names of attributes are case-sensitive: look at recsql.item.attributes and recsql.app_user.attributes.';
    end if;
    v_value := condition_value(p_condition, v_types);
    v_base := case when v_type is null then '$."attributes"' else '$' end;
    -- Quoted as JSON, as jsonpath has it too; values go as vars alone.
    v_at := '@.' || to_json(v_key);
    vars := jsonb_build_object(p_prefix, v_value);
    case p_condition ->> 'op'
        when 'exists' then
            path := format('%sexists(%s ? (%s.type() != "null"))', case v_value when 'false' then '!' end, v_base, v_at);
        when 'in' then
            path := format('exists(%s ? (%s.type() != "array" && %s == $%s[*]))', v_base, v_at, v_at, p_prefix);
        when 'contains' then
            path := (
                select string_agg(format('exists(%s ? (%s[*] == $%s[%s]))', v_base, v_at, p_prefix, n), ' && ')
                from generate_series(0, greatest(jsonb_array_length(jsonb_path_query_array(v_value, '$[*]')) - 1, 0)) as n
            );
        else
            path := format(
                '%sexists(%s ? (%s.type() != "array" && %s %s $%s))',
                case p_condition ->> 'op' when '!=' then '!' end, v_base, v_at, v_at,
                case p_condition ->> 'op' when '=' then '==' when '!=' then '==' else p_condition ->> 'op' end, p_prefix
            );
    end case;
end
$$;

comment on function recsql.compiled_condition(jsonb, text, text) is
'A condition as an SQL/JSON path over item_document or user_document, and the values that it names as vars. p_condition: {"attribute": …, "op": …, '
'"value": …}, {"all": [conditions]}, {"any": [conditions]} or {"not": condition}. op: = and != (its opposite, also of what is not there), <, <=, >, '
'>=, in (one of a list), contains (a list has the value, or all of a list), exists. p_of: item or user; p_prefix: of the names of vars. '
'Errors: RS001 nothing has the attribute, RS002 it is no condition, or a value does not fit the attribute or the operator.';
