-- Changes of counts are appended, which takes a fraction of finding and changing the rows.

alter table recsql.pair_count drop constraint pair_count_pkey;
create index pair_count_pair_idx on recsql.pair_count (run_no, source_no, item_no, neighbour_no);
comment on table recsql.pair_count is
'One row per run, method, ordered pair of items and time that it was counted: what that added to how often they occur together, in '
'2^-24, so that sums do not depend on their order. Kept for the run whose similarities follow new events.';
