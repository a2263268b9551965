-- Pruned runs have nothing that the earlier revision could serve or show.
delete from recsql.run where state = 'pruned';
alter table recsql.run
drop column policy_no,
drop constraint run_state_check,
add constraint run_state_check check (state in ('running', 'complete', 'failed'));
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads.';
delete from recsql.fusion_policy as p
where p.policy = 'rrf' and not exists (select from recsql.release as r where r.policy_no = p.policy_no);
