-- recsql.check_controls: nothing.
create function recsql.check_controls(p_controls jsonb)
returns void
language plpgsql
immutable
set search_path = recsql, pg_temp
as $$
declare
    v_control record;
begin
    if jsonb_typeof(p_controls) <> 'object' then
        raise exception 'controls must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"diversity": 0.3, "novelty": 0.1}.';
    end if;
    for v_control in select c.key, c.value, c.value #>> '{}' as told from jsonb_each(p_controls) as c loop
        continue when v_control.value = 'null';
        if v_control.key in ('diversity', 'novelty', 'calibration', 'exposure') then
            if jsonb_typeof(v_control.value) <> 'number' or not v_control.told::numeric between 0 and 1 then
                raise exception '% must be from 0 to 1, not %', v_control.key, v_control.told
                    using errcode = 'RS002', hint = '0 leaves the list as it is, 1 is the most; 0.3 is a beginning.';
            end if;
        elsif v_control.key = 'diversity_method' then
            if v_control.told not in ('mmr', 'msd', 'dpp') then
                raise exception 'there is no diversity_method %', v_control.told
                    using errcode = 'RS002', hint = 'Methods are mmr, msd and dpp.';
            end if;
        elsif v_control.key = 'n' then
            if not is_count(v_control.value, 1, 1000) then
                raise exception 'n must be a whole number from 1 to 1000, not %', v_control.told
                    using errcode = 'RS002', hint = 'It is the length of the lists.';
            end if;
        elsif v_control.key <> 'calibration_key' then
            raise exception 'there is no control %', v_control.key
                using errcode = 'RS002',
                hint = 'Controls are diversity, diversity_method, novelty, calibration, calibration_key and exposure.';
        end if;
    end loop;
    if (p_controls ->> 'calibration')::numeric > 0 and p_controls ->> 'calibration_key' is null then
        raise exception 'calibration needs a key'
            using errcode = 'RS002', hint = 'Set calibration_key to domain, tags, or the name of an attribute of items, as "genres".';
    end if;
end
$$;

comment on function recsql.check_controls(jsonb) is
'Sees that controls are {"diversity": 0.3, "diversity_method": "mmr", "novelty": 0, "calibration": 0.5, "calibration_key": "genres", "exposure": 0.2} or '
'some of these; offline, n is the length of the lists. Errors: RS002 they are not, a strength is not from 0 to 1, or '
'calibration lacks its key.';
