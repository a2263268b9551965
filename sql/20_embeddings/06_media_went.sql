-- Trigger media_went.
create trigger media_went
after delete on recsql.item_media
referencing old table as former
for each statement execute function recsql.note_content();

comment on trigger media_went on recsql.item_media is 'Queues items with fewer media for embedding, or takes their vectors away (note_content).';
