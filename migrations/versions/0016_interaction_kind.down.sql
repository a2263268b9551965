alter table recsql.interaction drop column kind_no;
comment on table recsql.interaction is
'One row per run, user and item: what the run may know of them. step: 0 for the user''s newest positive item, then 1, …, '
'null where the sum of weights is not positive; rating: mean value of rated items, in standard deviations from the user''s mean; '
'at, event_no: the newest event.';
