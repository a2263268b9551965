drop table recsql.bandit_impression;
drop table recsql.bandit_item;
drop table recsql.bandit;
