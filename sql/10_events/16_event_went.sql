-- Trigger event_went.
create trigger event_went
after delete on recsql.event
referencing old table as changed
for each statement execute function recsql.note_event();

comment on trigger event_went on recsql.event is 'Notes deleted events for refresh_activity.';
