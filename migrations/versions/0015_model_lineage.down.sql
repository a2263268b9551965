drop table recsql.model_promotion;
alter table recsql.model_version drop column parent_version_no;
