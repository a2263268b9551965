-- A run knows what it was begun on, so that one that was stopped is found again when more has happened.

alter table recsql.run add column settings text, add column begun_on text, add column n_events bigint, add column stage text;
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads, that of the data '
'behind a point; policy_no: how it was fused; state pruned: its rows are gone, its figures are kept; newcomer_nos: new items that '
'nobody had had; settings: digest of how the refresh that made it reads data, begun_on: that of the data when this refresh began, '
'n_events: how many events there were up to last_event_no, all null where nobody goes on with it once more has happened; stage: what is being done, or was when it was stopped or killed.';
