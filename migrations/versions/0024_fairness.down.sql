drop table recsql.exposure_price;
drop table recsql.exposure_ledger;
drop table recsql.item_group_fairness;
drop table recsql.user_group_fairness;
drop table recsql.fairness_key;
