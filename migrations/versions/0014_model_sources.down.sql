create temporary table score_list on commit drop as
select s.run_no, s.user_no, s.version_no, s.item_nos, s.scores from recsql.score as s;

create temporary table score_run on commit drop as
select substring(c.relname from '\d+$')::integer as run_no
from pg_inherits as i
inner join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'recsql.score'::regclass;

drop table recsql.score;

create table recsql.score (
    run_no integer not null,
    user_no integer not null,
    item_no integer not null,
    version_no integer not null,
    score real not null,
    primary key (run_no, user_no, item_no, version_no) include (score)
) partition by list (run_no);
comment on table recsql.score is 'One row per run, user, candidate and model version: the model''s score, higher is better.';

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

insert into recsql.score (run_no, user_no, item_no, version_no, score)
select s.run_no, s.user_no, e.item_no, s.version_no, e.score
from score_list as s
cross join lateral unnest(s.item_nos, s.scores) as e (item_no, score)
order by s.run_no, s.user_no, e.item_no, s.version_no;
drop table score_list, score_run;

comment on column recsql.run_stage.detail is null;
alter table recsql.model_version drop column item_nos, drop column reused_no;

delete from recsql.candidate where source_no between 20 and 27;
delete from recsql.source where source_no between 20 and 27;
update recsql.fusion_policy
set weights = weights - '{gru4rec,nextitnet,bert4rec,joint,two_tower,als,bpr,neumf}'::text []
where policy = 'rrf';
alter table recsql.source
drop constraint source_kind_check,
add constraint source_kind_check check (
    kind in ('similarity', 'user', 'vector', 'popularity', 'trending', 'segment', 'new', 'cross_domain')
);
comment on table recsql.source is
'One row per source of candidates. kind: similarity, a weighted join of the user''s last history_length items with '
'item_similarity, each step back weighing less (harmonic: 1 / (1 + rate × step); geometric: rate ^ step); user, what similar '
'users had last; vector, items near to the user''s vector; popularity and trending; segment, what is popular among users who '
'share the attributes segment_keys; new, the newest items; cross_domain, items by content in domains where the user has '
'nothing yet.';
