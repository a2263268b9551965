drop table recsql.fusion_choice;
delete from recsql.fusion_policy where kind not in ('weighted', 'rrf');
alter table recsql.fusion_policy
drop column config,
drop constraint fusion_policy_kind_check,
add constraint fusion_policy_kind_check check (kind in ('weighted', 'rrf'));
