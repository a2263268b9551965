-- recsql.model_registry: one row per model version.
create view recsql.model_registry as
select
    v.version_no,
    m.model,
    v.run_no,
    case when r.run_no is not null then coalesce(s.protocol || ' ' || s.part, 'production') end as part,
    v.created_at,
    (v.metrics ->> 'epochs')::double precision::integer as epochs,
    coalesce(e.value, (v.metrics ->> 'ndcg@10')::double precision) as ndcg,
    v.dim,
    octet_length(v.artifact) as n_bytes,
    encode(v.artifact_sha256, 'hex') as sha256,
    exists (select from recsql.release as l where l.run_no = v.run_no) as is_served,
    exists (select from recsql.promoted_model as p where p.version_no = v.version_no) as is_promoted,
    v.parent_version_no
from recsql.model_version as v
inner join recsql.model as m on m.model_no = v.model_no
left join recsql.run as r on r.run_no = v.run_no
left join recsql.split as s on s.split_no = r.split_no
left join recsql.evaluation as e
    on e.run_no = v.run_no and e.method = m.model and e.metric = 'ndcg' and e.k = 10 and e.segment = 'all';

comment on view recsql.model_registry is
'One row per model version. part: which events it was trained on, as recsql status shows it; ndcg: NDCG@10 on what came after those, '
'of all users where the run was evaluated, else as training measured it, null in production; n_bytes: of the artifact, null once it '
'is pruned; is_served: whether the released run uses it; is_promoted: whether following runs use its configuration; parent_version_no: the version '
'whose training it went on with.';
