-- recsql.phrase_written: every phrase is checked.
create trigger phrase_written
before insert or update on recsql.phrase
for each row execute function recsql.check_phrase();

comment on trigger phrase_written on recsql.phrase is 'Refuses placeholders that there are not.';
