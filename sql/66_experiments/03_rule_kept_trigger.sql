-- recsql.rule_kept: no rule of a running variant goes, or moves.
create trigger rule_kept
before delete or update of rule, slot on recsql.rule
for each row execute function recsql.rule_kept();

comment on trigger rule_kept on recsql.rule is 'What a running experiment serves does not change.';
