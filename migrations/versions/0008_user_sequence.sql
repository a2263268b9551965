-- Users' histories as arrays, which similarities are counted from, and the counts themselves where they are kept.

create table recsql.user_sequence (
    run_no integer not null,
    user_no integer not null,
    item_nos integer [] not null,
    weights real [] not null,
    ratings real [] not null,
    primary key (run_no, user_no)
) partition by list (run_no);
alter table recsql.user_sequence
alter column item_nos set storage plain,
alter column weights set storage plain,
alter column ratings set storage plain;
comment on table recsql.user_sequence is
'One row per run and user: the newest positive items, the newest first, so that element step + 1 is that of interaction.step; '
'their weights and normalised ratings.';

create index interaction_item_idx on recsql.interaction (run_no, item_no, step) include (user_no, weight, rating);

create table recsql.pair_count (
    run_no integer not null,
    source_no smallint not null,
    item_no integer not null,
    neighbour_no integer not null,
    n bigint not null,
    primary key (run_no, source_no, item_no, neighbour_no)
) partition by list (run_no);
comment on table recsql.pair_count is
'One row per run, method and ordered pair of items: how often they occur together, in 2^-24, so that sums do not depend on '
'their order. Kept for the run whose similarities follow new events.';

create table recsql.pair_list (
    run_no integer not null,
    source_no smallint not null,
    item_no integer not null,
    total bigint not null,
    neighbour_nos integer [] not null,
    ns bigint [] not null,
    primary key (run_no, source_no, item_no)
) partition by list (run_no);
comment on table recsql.pair_list is
'One row per run, method and item: the sum of its pair_count, and the neighbours in its list with theirs, the strongest first.';

create table recsql.pair_sequence (
    run_no integer not null,
    source_no smallint not null,
    user_no integer not null,
    item_nos integer [] not null,
    primary key (run_no, source_no, user_no)
) partition by list (run_no);
alter table recsql.pair_sequence alter column item_nos set storage plain;
comment on table recsql.pair_sequence is
'One row per run, method and user: the sequence whose pairs are in pair_count, the newest item first.';

create table recsql.pair_state (
    run_no integer not null,
    source_no smallint not null,
    snapshot pg_snapshot not null,
    config jsonb not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (run_no, source_no)
);
comment on table recsql.pair_state is
'One row per run and method whose pair_count is kept: which transactions'' events are counted, and by which parameters.';

create table recsql.user_change (
    user_no integer not null,
    noted_in xid8 not null default pg_current_xact_id()
);
comment on table recsql.user_change is
'One row per user and transaction in which events of the user came or went, written in that transaction: what is new since a '
'snapshot is what the snapshot does not see, whatever the order of numbers and commits.';
create index user_change_noted_idx on recsql.user_change (noted_in, user_no);

-- The snapshot of an earlier run is not known: of it, what happens from now on is followed.
alter table recsql.run add column snapshot pg_snapshot not null default pg_current_snapshot();
comment on column recsql.run.snapshot is 'What the run may have seen; user_change tells who did something that it did not.';
