-- The policy that a run was fused by, one policy that needs no fitting, and runs of which only the figures are kept.

alter table recsql.run
add column policy_no integer references recsql.fusion_policy on delete set null,
drop constraint run_state_check,
add constraint run_state_check check (state in ('running', 'complete', 'failed', 'pruned'));
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads; policy_no: how '
'it was fused; state pruned: its rows are gone, its figures are kept.';

insert into recsql.fusion_policy (policy, kind, weights)
values
('rrf', 'rrf', '{"sequential": 1, "ease": 1, "cosine": 1, "content": 1, "transformer": 1, "trending": 1, "popularity": 1}')
on conflict (policy) do nothing;
