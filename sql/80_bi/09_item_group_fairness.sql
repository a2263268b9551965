-- recsql_api.item_group_fairness: one row per offline run, method, key, group of items and cut-off.
create view recsql_api.item_group_fairness as
select
    f.run_no,
    s.protocol,
    s.part,
    f.method,
    f.key,
    f.item_group,
    f.k,
    f.n_items,
    f.exposure_share,
    f.relevance_share,
    f.catalogue_share,
    f.exposure_share / nullif(f.relevance_share, 0) as disparity,
    f.evaluated_at
from recsql.item_group_fairness as f
inner join recsql.run as r on r.run_no = f.run_no
inner join recsql.split as s on s.split_no = r.split_no;

comment on view recsql_api.item_group_fairness is
'One row per offline run, method, key (popularity, domain, tags or an attribute of items), group and cut-off. exposure_share: of the first k of '
'all lists, each position counting 1 / log2(1 + position); relevance_share: of what the users turned to next; catalogue_share: of the items; '
'disparity: exposure_share / relevance_share, 1 where exposure goes by relevance, null where nothing was relevant. Groups of popularity: head, '
'mid and tail, with a fifth, three fifths and a fifth of the users'' interactions.';
