-- recsql_api.recommendation_current: one row per user and rank of what slot default serves.
create view recsql_api.recommendation_current as
select
    u.user_id,
    r.rank,
    i.item_id,
    i.title,
    i.domain,
    r.score,
    r.parts,
    l.run_no,
    l.released_at
from recsql.release as l
inner join recsql.recommendation as r on r.run_no = l.run_no
inner join recsql.app_user as u on u.user_no = r.user_no
inner join recsql.item as i on i.item_no = r.item_no
where l.slot = 'default';

comment on view recsql_api.recommendation_current is
'One row per user and rank: the published recommendations of slot default, before what recommend() adds live. parts: what '
'each source adds to the score; run_no, released_at: which run, and since when it is served.';
