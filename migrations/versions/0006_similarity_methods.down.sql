update recsql.fusion_policy set weights = weights - 'slit' where policy = 'rrf';
delete from recsql.item_similarity where source_no between 8 and 12;
delete from recsql.candidate where source_no between 8 and 12;
delete from recsql.source where source_no between 8 and 12;
