delete from recsql.item_similarity where source_no between 17 and 19;
delete from recsql.candidate where source_no between 17 and 19;
delete from recsql.source where source_no between 17 and 19;
alter table recsql.source drop column added_to, drop column list_of;
update recsql.source
set history_rate = 0.5, description = 'SLIT weights: what comes next, less what the past explains'
where source = 'slit';
