-- Runs are found by their fingerprint alone.

alter table recsql.run drop column settings, drop column begun_on, drop column n_events, drop column stage;
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads; policy_no: how '
'it was fused; state pruned: its rows are gone, its figures are kept; newcomer_nos: new items that nobody had had.';
