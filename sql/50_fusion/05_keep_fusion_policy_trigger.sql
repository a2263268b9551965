-- Trigger keep_fusion_policy.
create trigger keep_fusion_policy
before delete or update of policy on recsql.fusion_policy
for each row
execute function recsql.keep_fusion_policy();

comment on trigger keep_fusion_policy on recsql.fusion_policy is
'A fusion policy stays, under its name, while a slot, another policy or a run that can be served again needs it.';
