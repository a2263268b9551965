-- recsql.promoted_model: one row per model of which a version is promoted.
create view recsql.promoted_model as
select distinct on (p.model_no)
    m.model,
    p.version_no,
    v.config,
    p.promoted_at,
    p.promoted_by
from recsql.model_promotion as p
inner join recsql.model as m on m.model_no = p.model_no
inner join recsql.model_version as v on v.version_no = p.version_no
where p.rolled_back_at is null
order by p.model_no, p.promotion_no desc;

comment on view recsql.promoted_model is
'One row per model of which a version is promoted: the version whose configuration following runs use in place of the defaults.';
