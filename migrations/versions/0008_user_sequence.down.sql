alter table recsql.run drop column snapshot;
drop table recsql.user_change;
drop table recsql.pair_state;
drop table recsql.pair_sequence;
drop table recsql.pair_list;
drop table recsql.pair_count;
drop index recsql.interaction_item_idx;
drop table recsql.user_sequence;
