-- Trigger item_changed.
create trigger item_changed
after update on recsql.item
referencing old table as former new table as changed
for each statement execute function recsql.note_content();

comment on trigger item_changed on recsql.item is 'Queues items whose text changed for embedding (note_content).';
