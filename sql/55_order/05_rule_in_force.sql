-- recsql.rule_in_force: those that go first first.
create function recsql.rule_in_force(
    p_slot text, p_user_id text, p_add text [] default '{}', p_drop text [] default '{}'
)
returns setof recsql.rule
language sql
stable
begin atomic
    select r.*
    from recsql.rule as r
    where
        (r.state = 'active' or r.rule = any (coalesce(p_add, '{}')))
        and r.rule <> all (coalesce(p_drop, '{}'))
        and (r.slot is null or r.slot = p_slot)
        and (r.starts_at is null or r.starts_at <= now())
        and (r.ends_at is null or r.ends_at > now())
        and (
            r.segment_path is null
            or jsonb_path_match((select recsql.user_document(p_user_id)), r.segment_path, r.segment_vars)
        )
    order by r.priority desc, r.rule_no;
end;

comment on function recsql.rule_in_force(text, text, text [], text []) is
'The active rules of a slot that hold for a user now: by priority, then in the order in which they were made. p_add, p_drop: names of rules '
'that hold though they are drafts, or do not, as a variant of an experiment has it.';
