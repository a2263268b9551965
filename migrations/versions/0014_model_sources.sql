-- Every trained model can be a source, one without vectors too; a version says which items its rows are, so that a later run
-- can go on using it; and what a version thinks of a user's candidates is one row with arrays, as candidates are.

alter table recsql.source
drop constraint source_kind_check,
add constraint source_kind_check check (
    kind in ('similarity', 'user', 'vector', 'score', 'popularity', 'trending', 'segment', 'new', 'cross_domain')
);
comment on table recsql.source is
'One row per source of candidates. kind: similarity, a weighted join of the user''s last history_length items with '
'item_similarity, each step back weighing less (harmonic: 1 / (1 + rate × step); geometric: rate ^ step); user, what similar '
'users had last; vector, items near to the user''s vector; score, a model that has no vectors, so it proposes nothing and scores '
'what the others propose; popularity and trending; segment, what is popular among users who share the attributes segment_keys; '
'new, the newest items; cross_domain, items by content in domains where the user has nothing yet. A source that bears the name '
'of a trained model is that model: where it is active, runs train it, and it scores the candidates of all sources.';

insert into recsql.source (source_no, source, kind, is_active, reason, description)
values
(20, 'gru4rec', 'vector', false, 'fits your recent choices', 'user vector × item vectors of the recurrent network'),
(21, 'nextitnet', 'vector', false, 'fits your recent choices', 'user vector × item vectors of the convolutional network'),
(22, 'bert4rec', 'vector', false, 'fits your recent choices', 'user vector × item vectors of the bidirectional transformer'),
(23, 'joint', 'vector', false, 'fits your recent choices', 'user vector × item vectors of the transformer with joint losses'),
(24, 'two_tower', 'vector', false, 'fits your taste', 'user vector × item vectors of two towers'),
(25, 'als', 'vector', false, 'fits your taste', 'factors of users and items by alternating least squares'),
(26, 'bpr', 'vector', false, 'fits your taste', 'factors of users and items by Bayesian personalised ranking'),
(27, 'neumf', 'score', false, 'fits your taste', 'neural matrix factorisation, of what the other sources propose');
update recsql.fusion_policy
set
    weights = weights
    || '{"gru4rec": 1, "nextitnet": 1, "bert4rec": 1, "joint": 1, "two_tower": 1, "als": 1, "bpr": 1, "neumf": 1}'
where policy = 'rrf';

alter table recsql.model_version
add column item_nos integer [],
add column reused_no integer references recsql.model_version;
comment on column recsql.model_version.item_nos is
'The item of each row of the artifact''s arrays, ascending; null for versions of earlier releases.';
comment on column recsql.model_version.reused_no is
'The version that was trained, whose artifact and item vectors this one has, with user vectors of its own run; null where it was '
'trained itself.';
comment on column recsql.run_stage.detail is
'What the stage has to tell beside its rows, as text by what it is about: of train, which models were kept and which trained.';

create temporary table score_list on commit drop as
select
    s.run_no,
    s.user_no,
    s.version_no,
    array_agg(s.item_no order by s.score desc, s.item_no) as item_nos,
    array_agg(s.score order by s.score desc, s.item_no) as scores
from recsql.score as s
group by s.run_no, s.user_no, s.version_no;

create temporary table score_run on commit drop as
select substring(c.relname from '\d+$')::integer as run_no
from pg_inherits as i
inner join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'recsql.score'::regclass;

drop table recsql.score;

create table recsql.score (
    run_no integer not null,
    user_no integer not null,
    version_no integer not null,
    item_nos integer [] storage external not null,
    scores real [] storage external not null,
    primary key (run_no, user_no, version_no),
    constraint score_lengths_check check (cardinality(item_nos) = cardinality(scores))
) partition by list (run_no);
comment on table recsql.score is
'One row per run, user and model version: the user''s candidates of all sources that the version knows, the best first (of equal '
'ones the lower number), and its scores of them, higher is better.';

do $$
declare
    v_run_no integer;
begin
    for v_run_no in select r.run_no from score_run as r order by r.run_no
    loop
        execute format(
            'create table recsql.%I (like recsql.score including defaults including constraints including storage)',
            'score_' || v_run_no
        );
        execute format(
            'alter table recsql.score attach partition recsql.%I for values in (%s)', 'score_' || v_run_no, v_run_no
        );
    end loop;
end
$$;

insert into recsql.score (run_no, user_no, version_no, item_nos, scores)
select s.run_no, s.user_no, s.version_no, s.item_nos, s.scores
from score_list as s
order by s.run_no, s.user_no, s.version_no;
drop table score_list, score_run;
