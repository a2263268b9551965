-- Trigger experiment_fixed.
create trigger experiment_fixed
before insert or update or delete on recsql.experiment
for each row
execute function recsql.experiment_fixed();

comment on trigger experiment_fixed on recsql.experiment is
'What users are compared under is decided before the first of them is served.';
