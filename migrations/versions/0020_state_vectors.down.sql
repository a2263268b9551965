drop table recsql.state_vector;

delete from recsql.candidate where source_no between 28 and 33;
delete from recsql.source where source_no between 28 and 33;
update recsql.fusion_policy
set weights = weights - '{q_learning,sarsa,cql,sqn,reinforce,slate_q}'::text []
where policy = 'rrf';
