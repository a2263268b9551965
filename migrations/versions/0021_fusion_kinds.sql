alter table recsql.fusion_policy
drop constraint fusion_policy_kind_check,
add constraint fusion_policy_kind_check check (
    kind in ('weighted', 'rrf', 'switching', 'mixed', 'cascade', 'ranker')
),
add column config jsonb not null default '{}' check (jsonb_typeof(config) = 'object');

create table recsql.fusion_choice (
    slot text primary key,
    policy_no integer not null references recsql.fusion_policy,
    chosen_at timestamptz not null default now()
);
comment on table recsql.fusion_choice is
'One row per slot whose owner has chosen the fusion policy of its runs; the other runs take what validation chose.';
