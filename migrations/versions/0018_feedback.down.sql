drop table recsql.policy_decision;
drop table recsql.policy_evaluation;
drop table recsql.policy_propensity;
alter table recsql.release drop column ranking_policy_no;
comment on table recsql.release is 'One row per slot: the run that recommend() serves. Promotion and rollback are one update.';
drop table recsql.ranking_policy;
drop table recsql.decision_process;
drop table recsql.reward;
drop index recsql.event_request_idx;
drop table recsql.request;
drop index recsql.impression_at_idx;
alter table recsql.impression
drop column conditional,
alter column propensity type real;
comment on table recsql.impression is
'One row per item shown: request, position from 1, and the probability with which the policy showed it there.';
