-- Trigger check_fusion_policy.
create trigger check_fusion_policy
before insert or update of policy, kind, weights, config on recsql.fusion_policy
for each row
execute function recsql.check_fusion_policy();

comment on trigger check_fusion_policy on recsql.fusion_policy is
'Every weight is a number from 0 on of a source that exists, one of them more than 0, and config is what the kind can be executed by.';
