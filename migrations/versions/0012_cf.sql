-- SLIT reads the past twice, each time with weights of its own: what was had just now, and what is liked all along. Sources that
-- read a whole history, all of it alike, are there to be compared: for taste in the long run, where order is not asked.

alter table recsql.source
add column added_to smallint references recsql.source,
add column list_of smallint references recsql.source;
comment on column recsql.source.added_to is
'The source whose score sums this list as well, with how this row reads the history; null for a source of its own.';
comment on column recsql.source.list_of is
'The source whose list of similarities this one reads, with a history of its own; null for a list of its own.';

update recsql.source
set
    history_rate = 1.0,
    description = 'SLIT weights of the near past: what comes next, less what the past explains'
where source = 'slit';

insert into recsql.source
(
    source_no, source, kind, history_length, history_decay, history_rate, is_active, reason, description,
    added_to, list_of
)
values
(
    17, 'slit_long', 'similarity', 100, 'harmonic', 0.05, false, 'suits those who had',
    'SLIT weights of the long past: taste, besides what is on now', 12, null
),
(
    18, 'ease_whole', 'similarity', 5000, 'harmonic', 0.0, false, 'goes with', 'EASE over the whole history, as published',
    null, null
),
(
    19, 'cosine_whole', 'similarity', 5000, 'harmonic', 0.0, false, 'liked by the people who liked',
    'item–item cosine over the whole history', null, 3
);
