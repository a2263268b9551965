drop table recsql.pair_state;
drop table recsql.pair_count;
drop index recsql.interaction_item_idx;
drop table recsql.user_sequence;
