-- Trigger variant_fixed.
create trigger variant_fixed
before insert or update or delete on recsql.variant
for each row
execute function recsql.variant_fixed();

comment on trigger variant_fixed on recsql.variant is
'Whoever is in a variant stays there as long as the experiment runs.';
