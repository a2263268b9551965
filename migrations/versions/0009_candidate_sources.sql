-- More kinds of sources: users like the user, what is popular in the user's segment, new items, and other domains. Candidates
-- of a user are one row a source with arrays, as neighbours are.

alter table recsql.source
drop constraint source_kind_check,
add column segment_keys text [],
add constraint source_kind_check check (
    kind in ('similarity', 'user', 'vector', 'popularity', 'trending', 'segment', 'new', 'cross_domain')
),
add constraint source_segment_keys_check check (kind <> 'segment' or coalesce(cardinality(segment_keys), 0) > 0);
update recsql.source set kind = 'trending' where source = 'trending';
-- What lies further back than 20 items adds work in proportion and no recall.
update recsql.source set history_length = 20 where source in ('sequential', 'cosine') and history_length = 50;
comment on table recsql.source is
'One row per source of candidates. kind: similarity, a weighted join of the user''s last history_length items with '
'item_similarity, each step back weighing less (harmonic: 1 / (1 + rate × step); geometric: rate ^ step); user, what similar '
'users had last; vector, items near to the user''s vector; popularity and trending; segment, what is popular among users who '
'share the attributes segment_keys; new, the newest items; cross_domain, items by content in domains where the user has '
'nothing yet.';

insert into recsql.source
(source_no, source, kind, history_length, history_decay, history_rate, segment_keys, is_active, reason, description)
values
(13, 'user_cosine', 'user', 20, 'harmonic', 0.5, null, false, 'liked by people like you', 'recent items of similar users'),
(
    14, 'popular_segment', 'segment', null, null, null, '{gender,age_group}', false, 'popular with people like you',
    'what is consumed most by users of the same gender and age group'
),
(15, 'new_items', 'new', null, null, null, null, false, 'new', 'the newest items, those with a trend first'),
(
    16, 'cross_domain', 'cross_domain', 20, 'geometric', 0.9, null, false, 'goes with what you like elsewhere',
    'nearest by content in domains where the user has nothing yet'
);
update recsql.fusion_policy
set weights = weights || '{"user_cosine": 1, "popular_segment": 1, "new_items": 1, "cross_domain": 1}'
where policy = 'rrf';

create table recsql.user_similarity (
    run_no integer not null,
    source_no smallint not null,
    user_no integer not null,
    neighbour_nos integer [] storage external not null,
    similarities real [] storage external not null,
    primary key (run_no, source_no, user_no),
    constraint user_similarity_lengths_check check (cardinality(neighbour_nos) = cardinality(similarities))
) partition by list (run_no);
comment on table recsql.user_similarity is
'One row per run, method and user: the most similar users, the most similar first (of equal ones the lower number), and how '
'similar each of them is.';

create table recsql.segment_popularity (
    run_no integer not null,
    source_no smallint not null,
    segment jsonb not null,
    item_nos integer [] storage external not null,
    scores real [] storage external not null,
    primary key (run_no, source_no, segment),
    constraint segment_popularity_lengths_check check (cardinality(item_nos) = cardinality(scores))
) partition by list (run_no);
comment on table recsql.segment_popularity is
'One row per run, source and segment: the values of the source''s segment_keys, and the items that users who share them '
'consumed most, the most popular first, with their summed weight.';

create temporary table candidate_list on commit drop as
select
    c.run_no,
    c.user_no,
    c.source_no,
    array_agg(c.item_no order by c.rank) as item_nos,
    array_agg(c.score order by c.rank) as scores
from recsql.candidate as c
group by c.run_no, c.user_no, c.source_no;

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
    item_nos integer [] storage external not null,
    scores real [] storage external not null,
    primary key (run_no, user_no, source_no),
    constraint candidate_lengths_check check (cardinality(item_nos) = cardinality(scores))
) partition by list (run_no);
comment on table recsql.candidate is
'One row per run, user and source: the items that the source proposes, the best first (of equal ones the lower number), and '
'their scores, higher is better.';

create index item_popularity_popularity_idx on recsql.item_popularity (run_no, popularity desc);
create index item_fresh_idx on recsql.item (coalesce(published_at, created_at) desc, item_no);

do $$
declare
    v_run_no integer;
    v_table text;
begin
    for v_run_no in select r.run_no from candidate_run as r order by r.run_no
    loop
        foreach v_table in array array['candidate', 'user_similarity', 'segment_popularity']
        loop
            execute format(
                'create table recsql.%I (like recsql.%I including defaults including constraints including storage)',
                v_table || '_' || v_run_no, v_table
            );
            execute format(
                'alter table recsql.%I attach partition recsql.%I for values in (%s)',
                v_table, v_table || '_' || v_run_no, v_run_no
            );
        end loop;
    end loop;
end
$$;

insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores)
select c.run_no, c.user_no, c.source_no, c.item_nos, c.scores
from candidate_list as c
order by c.run_no, c.user_no, c.source_no;
analyze recsql.candidate;
drop table candidate_list, candidate_run;
