drop index recsql.request_variant_idx;
alter table recsql.request drop column variant_no;
comment on table recsql.request is
'One row per logged answer of recommend(). pool_nos: the items that it chose from, in the order that exploration drew from, pool_scores: '
'their scores; policy: what ordered them; explore: the probability with which a position went to one of those left, drawn uniformly; '
'controls: the strength of each control other than 0, rules: the names of the rules in force, pinned: the positions that went to pins, which '
'are not of the pool; null where there were none.';
drop table recsql.experiment_user;
drop table recsql.variant;
drop table recsql.experiment;
