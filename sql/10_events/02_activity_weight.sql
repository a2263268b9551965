-- recsql.activity_weight: millionths.
create function recsql.activity_weight(p_newest integer, p_hour integer, p_n_hours integer, p_weight bigint, p_half_life integer)
returns bigint
language sql
immutable
begin atomic
    select case
        when not recsql.is_in_window(p_newest, p_hour, p_n_hours) then 0
        when p_half_life is null then p_weight
        else p_weight / (1::bigint << least((p_newest - p_hour) / p_half_life, 62))
    end;
end;

comment on function recsql.activity_weight(integer, integer, integer, bigint, integer) is
'What an event of the bucket that begins at p_hour counts in the window of p_n_hours (null: all) that ends with bucket p_newest: '
'its kind''s weight, halved each time that the kind''s half-life (in hours, null for never) is over, and 0 outside the window. It '
'changes in steps, so that a window is kept up by what crosses a step alone.';
