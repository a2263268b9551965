-- Trigger media_came.
create trigger media_came
after insert on recsql.item_media
referencing new table as changed
for each statement execute function recsql.note_content();

comment on trigger media_came on recsql.item_media is 'Queues items with new media for embedding (note_content).';
