-- Trigger event_came; a load's new years are attached past it, and noted by attach_event_year.
create trigger event_came
after insert on recsql.event
referencing new table as changed
for each statement execute function recsql.note_event();

comment on trigger event_came on recsql.event is 'Notes new events and their users (note_event).';
