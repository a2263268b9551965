update recsql.fusion_policy set weights = weights - 'user_transformer' where policy = 'rrf';
delete from recsql.candidate where source_no = 34;
delete from recsql.user_similarity where source_no = 34;
delete from recsql.source where source_no = 34;
alter table recsql.source drop column vectors_of;

drop table recsql.fusion_choice;

-- What such a policy has fused stays served; what is added live is on the scale of reciprocal ranks.
update recsql.release
set policy_no = (select f.policy_no from recsql.fusion_policy as f where f.policy = 'rrf')
where
    policy_no in (
        select f.policy_no from recsql.fusion_policy as f where f.kind in ('switching', 'mixed', 'cascade', 'ranker')
    );
update recsql.release_log
set policy_no = (select f.policy_no from recsql.fusion_policy as f where f.policy = 'rrf')
where
    policy_no in (
        select f.policy_no from recsql.fusion_policy as f where f.kind in ('switching', 'mixed', 'cascade', 'ranker')
    );
delete from recsql.fusion_policy where kind in ('switching', 'mixed', 'cascade', 'ranker');
alter table recsql.fusion_policy
drop column config,
drop constraint fusion_policy_kind_check,
add constraint fusion_policy_kind_check check (kind in ('weighted', 'rrf'));
comment on table recsql.fusion_policy is
'One row per way of fusing sources. weights: one non-negative number a source; run_no: the run on whose split they were fitted.';
