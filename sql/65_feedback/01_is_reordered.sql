-- recsql.is_reordered: never null.
create function recsql.is_reordered(p_controls jsonb)
returns boolean
language sql
stable
begin atomic
    select coalesce(p_controls ?| '{diversity,novelty,calibration,exposure}'::text [], false) or exists (
        select from recsql.rule as r where r.kind = 'promote' and p_controls -> 'rules' ? r.rule
    );
end;

comment on function recsql.is_reordered(jsonb) is
'Whether the pool of a request with these controls was ordered by more than its ranking policy.';
