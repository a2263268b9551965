-- recsql.set_control: the slot's controls as they are now.
create function recsql.set_control(p_slot text, p_controls jsonb)
returns recsql.control
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_control control;
begin
    perform check_controls(
        coalesce((select to_jsonb(c) - 'slot' from control as c where c.slot = p_slot), '{}') || (p_controls - 'n')
    );
    insert into control (slot) values (p_slot) on conflict do nothing;
    select * into v_control
    from jsonb_populate_record(
        (select c from control as c where c.slot = p_slot), p_controls - 'slot' - 'n'
    );
    if v_control.calibration > 0 then
        perform check_category_key(v_control.calibration_key);
    end if;
    update control as c
    set
        diversity = v_control.diversity, diversity_method = v_control.diversity_method, novelty = v_control.novelty,
        calibration = v_control.calibration, calibration_key = v_control.calibration_key, exposure = v_control.exposure
    where c.slot = p_slot;
    return v_control;
end
$$;

comment on function recsql.set_control(text, jsonb) is
'Has the lists of a slot ordered by controls where a request does not say otherwise; those that p_controls does not name stay as they are. '
'Errors: RS001 no item has the calibration_key, RS002 check_controls refuses them, or calibration has no key.';
