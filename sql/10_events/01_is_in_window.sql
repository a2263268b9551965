-- recsql.is_in_window
create function recsql.is_in_window(p_newest integer, p_hour integer, p_n_hours integer)
returns boolean
language sql
immutable
begin atomic
    select p_hour <= p_newest and (p_n_hours is null or p_hour > p_newest - p_n_hours);
end;

comment on function recsql.is_in_window(integer, integer, integer) is
'Whether the bucket that begins at p_hour is one of the p_n_hours (null: of all) that end with bucket p_newest.';
