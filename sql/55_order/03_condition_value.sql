-- recsql.condition_value: the value as its var.
create function recsql.condition_value(p_condition jsonb, p_types text [])
returns jsonb
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
declare
    v_op text := p_condition ->> 'op';
    v_value jsonb := p_condition -> 'value';
    v_is_list boolean := coalesce(jsonb_typeof(v_value) = 'array', false);
    v_each jsonb := case when v_is_list then v_value else jsonb_build_array(v_value) end;
    v_takes text := case
        when v_op = 'exists' then 'true or false, or no value'
        when v_op = 'in' then 'a list of 1 to 1000 texts, numbers or booleans'
        when v_op = 'contains' then 'a text, number or boolean, or a list of 1 to 1000 of them'
        when v_op in ('=', '!=') then 'a text, number or boolean'
        when v_op in ('<', '<=', '>', '>=') then 'a text or number'
    end;
    v_type text;
begin
    if v_takes is null then
        raise exception 'there is no operator %', coalesce(p_condition -> 'op', 'null')
            using errcode = 'RS002', hint = 'Operators are =, !=, <, <=, >, >=, in, contains and exists.';
    end if;
    if v_op = 'exists' then
        v_value := coalesce(v_value, 'true');
        if jsonb_typeof(v_value) = 'boolean' then
            return v_value;
        end if;
    elsif (v_is_list and v_op in ('in', 'contains') or not v_is_list and v_op <> 'in')
        and jsonb_array_length(v_each) between 1 and 1000
        and not exists (
            select from jsonb_array_elements(v_each) as e (value)
            where coalesce(jsonb_typeof(e.value), 'null') not in ('string', 'number', 'boolean')
                or jsonb_typeof(e.value) = 'boolean' and v_op in ('<', '<=', '>', '>=')
        )
    then
        if p_types = '{time}' then
            -- As text, which what is stored could not be compared with.
            return (
                select case when v_is_list then jsonb_agg(t.at) else jsonb_agg(t.at) -> 0 end
                from (
                    select extract(epoch from (e.value #>> '{}')::timestamptz) as at from jsonb_array_elements(v_each) as e (value)
                ) as t
            );
        end if;
        select jsonb_typeof(e.value) into v_type
        from jsonb_array_elements(v_each) as e (value)
        where v_op <> 'contains' and jsonb_typeof(e.value) <> all (p_types)
        limit 1;
        if v_type is null and (v_op <> 'contains' or 'array' = any (p_types)) then
            return v_value;
        end if;
        raise exception '% is of type %, which % of % cannot be compared with',
            p_condition ->> 'attribute', array_to_string(p_types, ' or '), v_op, coalesce(v_type, 'a value')
            using errcode = 'RS002',
            hint = case
                when 'array' = any (p_types) then 'Ask whether it contains a value: op contains.'
                when v_op = 'contains' then 'Only lists contain: compare it by = or in.'
                else 'Compare with a value of its own type.'
            end;
    end if;
    raise exception '% takes %', v_op, v_takes
        using errcode = 'RS002', hint = 'For example {"attribute": "year", "op": ">=", "value": 1990}; longer lists are attributes of the items.';
exception
    when invalid_datetime_format or datetime_field_overflow then
        raise exception '% is no time', p_condition -> 'value'
            using errcode = 'RS002', hint = 'Write it like 2026-01-31 or 2026-01-31T12:00:00+01:00.';
end
$$;

comment on function recsql.condition_value(jsonb, text []) is
'Sees that the value of a comparison fits its operator and p_types, those of the attribute (JSON''s, or time alone), and gives it as it is to be '
'compared. Errors: RS002 it does not.';
