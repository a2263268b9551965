-- recsql.rule_written: every rule is checked.
create trigger rule_written
before insert or update on recsql.rule
for each row execute function recsql.check_rule();

comment on trigger rule_written on recsql.rule is 'Compiles what was written, or refuses it.';
