-- Trigger item_went.
create trigger item_went
after delete on recsql.item
referencing old table as former
for each statement execute function recsql.note_content();

comment on trigger item_went on recsql.item is 'Takes the vectors of items away that are deleted (note_content).';
