-- recsql.source_list: one row per source and list that it sums: the one that it reads, and those that are added to it.
create view recsql.source_list as
select
    coalesce(s.added_to, s.source_no) as source_no,
    coalesce(s.list_of, s.source_no) as list_no,
    s.added_to is not null as is_added,
    s.history_length,
    s.history_decay,
    s.history_rate
from recsql.source as s;

comment on view recsql.source_list is
'One row per source and list of similarities that its score sums: the one that it reads, and those whose rows in source are '
'added_to it (is_added), each with how it reads the history. list_no is source_no in item_similarity.';
