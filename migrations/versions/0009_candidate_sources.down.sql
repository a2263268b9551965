drop index recsql.item_fresh_idx;
drop index recsql.item_popularity_popularity_idx;
drop table recsql.segment_popularity;
drop table recsql.user_similarity;
update recsql.fusion_policy
set weights = weights - 'user_cosine' - 'popular_segment' - 'new_items' - 'cross_domain'
where policy = 'rrf';
create temporary table candidate_list on commit drop as
select c.run_no, c.user_no, c.source_no, c.item_nos, c.scores
from recsql.candidate as c
inner join recsql.source as s on s.source_no = c.source_no
-- The earlier revision has no other kinds, so what users added of them goes as well.
where s.kind in ('similarity', 'vector', 'popularity', 'trending');

create temporary table candidate_run on commit drop as
select substring(c.relname from '\d+$')::integer as run_no
from pg_inherits as i
inner join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'recsql.candidate'::regclass;

drop table recsql.candidate;

create table recsql.candidate (
    run_no integer not null,
    user_no integer not null,
    source_no smallint not null,
    rank smallint not null,
    item_no integer not null,
    score real not null,
    primary key (run_no, user_no, source_no, rank) include (item_no, score)
) partition by list (run_no);
comment on table recsql.candidate is 'One row per run, user, source and item: rank from 1, score higher is better.';

do $$
declare
    v_run_no integer;
begin
    for v_run_no in select r.run_no from candidate_run as r order by r.run_no
    loop
        execute format(
            'create table recsql.%I (like recsql.candidate including defaults including constraints)', 'candidate_' || v_run_no
        );
        execute format(
            'alter table recsql.candidate attach partition recsql.%I for values in (%s)', 'candidate_' || v_run_no, v_run_no
        );
    end loop;
end
$$;

insert into recsql.candidate (run_no, user_no, source_no, rank, item_no, score)
select c.run_no, c.user_no, c.source_no, n.rank, n.item_no, n.score
from candidate_list as c
cross join lateral unnest(c.item_nos, c.scores) with ordinality as n (item_no, score, rank)
order by c.run_no, c.user_no, c.source_no, n.rank;
analyze recsql.candidate;
drop table candidate_list, candidate_run;

delete from recsql.source where kind in ('user', 'segment', 'new', 'cross_domain');
update recsql.source set kind = 'popularity' where kind = 'trending';
update recsql.source set history_length = 50 where source in ('sequential', 'cosine') and history_length = 20;
alter table recsql.source
drop constraint source_segment_keys_check,
drop constraint source_kind_check,
drop column segment_keys,
add constraint source_kind_check check (kind in ('similarity', 'vector', 'popularity'));
comment on table recsql.source is
'One row per source of candidates. kind similarity: a weighted join of the user''s last history_length events with '
'item_similarity, each step back weighing less (harmonic: 1 / (1 + rate × step); geometric: rate ^ step).';
