-- Trigger item_came.
create trigger item_came
after insert on recsql.item
referencing new table as changed
for each statement execute function recsql.note_content();

comment on trigger item_came on recsql.item is 'Queues new items for embedding (note_content).';
