-- Lists may be made diverse by the sum of distances too.

alter table recsql.control
drop constraint control_diversity_method_check,
add constraint control_diversity_method_check check (diversity_method in ('mmr', 'msd', 'dpp'));
comment on table recsql.control is
'One row per slot whose lists are ordered by more than score: how strongly by each control, from 0 (not at all) to 1. diversity_method: mmr, msd '
'or dpp (recsql.diversified); calibration_key: the attribute of items whose shares are calibrated. Arguments of recommend() override it.';
