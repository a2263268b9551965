-- Trigger media_changed.
create trigger media_changed
after update on recsql.item_media
referencing old table as former new table as changed
for each statement execute function recsql.note_content();

comment on trigger media_changed on recsql.item_media is 'Queues items whose media changed for embedding (note_content).';
