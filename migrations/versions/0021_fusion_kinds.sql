-- Fusion policies that are more than a sum, the policy that an owner has chosen for a slot, and similar users by what a model learned.

alter table recsql.fusion_policy
drop constraint fusion_policy_kind_check,
add constraint fusion_policy_kind_check check (
    kind in ('weighted', 'rrf', 'switching', 'mixed', 'cascade', 'ranker')
),
add column config jsonb not null default '{}' check (jsonb_typeof(config) = 'object');
comment on table recsql.fusion_policy is
'One row per way of fusing sources. kind: weighted and rrf add up what sources say; switching, mixed and cascade put other policies or '
'sources together as config says; ranker is executed by a worker. weights: one non-negative number a source, by which what is added '
'live counts whatever the kind; run_no: the run on whose split they were fitted.';
comment on column recsql.fusion_policy.config is
'switching: {"branches": [{"use": …, "min_history", "max_history", "segment", "domain"}, …], "else": …}, the first branch that fits; '
'mixed: {"slots": {NAME: quota, …}}; cascade: {"first": …, "second": …, "keep": n}. Names are those of sources or of policies.';

create table recsql.fusion_choice (
    slot text primary key,
    policy_no integer not null references recsql.fusion_policy,
    chosen_at timestamptz not null default now()
);
comment on table recsql.fusion_choice is
'One row per slot whose owner has chosen the fusion policy of its runs; the other runs take what validation chose.';

alter table recsql.source
add column vectors_of smallint references recsql.source,
add constraint source_vectors_of_check check (vectors_of is null or kind = 'user');
comment on column recsql.source.vectors_of is
'Of a source of kind user: the source whose model''s user vectors say who is similar; null where it is what users had in common.';

insert into recsql.source
(source_no, source, kind, history_length, history_decay, history_rate, is_active, reason, description, vectors_of)
values
(
    34, 'user_transformer', 'user', 20, 'harmonic', 0.5, false, 'liked by people like you',
    'recent items of the users whose vectors by the transformer are nearest', 5
);
update recsql.fusion_policy set weights = weights || '{"user_transformer": 1}' where policy = 'rrf';
