alter table recsql.request drop column controls;
comment on table recsql.request is
'One row per logged answer of recommend(). pool_nos: the items that it chose from, the best first, pool_scores: their scores; policy: '
'what ordered them; explore: the probability with which a position went to one of those left, drawn uniformly.';

comment on column recsql.policy_propensity.position is null;

drop table recsql.control;
drop table recsql.rule;
