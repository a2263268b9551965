-- What the last number drawn stands for may be in use.
select setval('recsql.event_no_seq', nextval('recsql.event_no_seq'));
comment on sequence recsql.event_no_seq is null;
alter sequence recsql.event_no_seq increment by 1;
