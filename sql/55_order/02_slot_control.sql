-- recsql.slot_control: null where nothing is asked for.
create function recsql.slot_control(p_slot text, p_controls jsonb)
returns jsonb
language sql
stable
begin atomic
    select nullif(
        jsonb_strip_nulls(
            jsonb_build_object(
                'diversity', nullif(c.merged -> 'diversity', '0'),
                'diversity_method', case when c.merged -> 'diversity' <> '0' then coalesce(c.merged -> 'diversity_method', '"mmr"') end,
                'novelty', nullif(c.merged -> 'novelty', '0'),
                -- Without a key there is nothing to be calibrated by, and a list is better than an error.
                'calibration', case when c.merged ->> 'calibration_key' is not null then nullif(c.merged -> 'calibration', '0') end,
                'calibration_key', case when c.merged -> 'calibration' <> '0' then c.merged -> 'calibration_key' end,
                'exposure', nullif(c.merged -> 'exposure', '0')
            )
        ),
        '{}'
    )
    from (
        select coalesce(
            (select to_jsonb(k) - 'slot' from recsql.control as k where k.slot = p_slot), '{}'
        ) || coalesce(jsonb_strip_nulls(p_controls), '{}') as merged
    ) as c;
end;

comment on function recsql.slot_control(text, jsonb) is
'The controls that are on: those of the slot''s row of recsql.control, if any, with p_controls in place of what they say. '
'Calibration without a key is none, so that nothing is served with an error.';
