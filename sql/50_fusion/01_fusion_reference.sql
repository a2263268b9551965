-- recsql.fusion_reference: one row per place in which a config names a source or a policy.
create function recsql.fusion_reference(p_kind text, p_config jsonb)
returns table (name text, share double precision)
language sql
immutable
begin atomic
    select b.branch ->> 'use', 1
    from jsonb_array_elements(p_config -> 'branches') as b (branch)
    where p_kind = 'switching'
    union all
    select p_config ->> 'else', 1 where p_kind = 'switching'
    union all
    select s.key, s.value::double precision from jsonb_each_text(p_config -> 'slots') as s where p_kind = 'mixed'
    union all
    select p_config ->> f.key, 1 from (values ('first'), ('second')) as f (key) where p_kind = 'cascade';
end;

comment on function recsql.fusion_reference(text, jsonb) is
'The sources and policies that a fusion policy of a kind puts together, by its config, each with its share of the list.';
