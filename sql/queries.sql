-- Statements that Python sends, each under its name and a line on what it is for.

-- prepare_sql_object --
-- Make the record of repeatable objects; idempotent.
do $$ begin
    if to_regclass('recsql.sql_object') is null then
        create schema if not exists recsql;
        create table recsql.sql_object (
            position integer generated always as identity primary key,
            kind text not null,
            identity text not null,
            file text not null
        );
        create table recsql.sql_digest (digest text not null);
        comment on table recsql.sql_object is 'One row per function, view or trigger that a file of sql/ created.';
        comment on table recsql.sql_digest is 'One row: digest of the files of sql/ that the objects came from.';
    end if;
end $$;

-- load_pgvector --
-- Load pgvector's library into this session.
select '[1]'::vector;

-- lacks_grants --
-- Whether the applications' roles are there and may not use the API.
select count(*) = 2 and not bool_and(has_schema_privilege(r.oid, 'recsql_api', 'usage'))
from pg_roles as r
where r.rolname in ('recsql_reader', 'recsql_writer');

-- missing_roles --
-- Which of the applications' roles are not there.
select r.role
from unnest('{recsql_reader,recsql_writer}'::text []) as r (role)
where not exists (select from pg_roles as p where p.rolname = r.role)
order by r.role;

-- sql_digest --
-- Digest of the files that the database's objects came from.
select digest from recsql.sql_digest;

-- set_sql_digest --
-- Remember the digest.
insert into recsql.sql_digest (digest) values (%(digest)s);

-- recorded_sql_objects --
-- What to drop before an upgrade, the newest first.
select kind, identity from recsql.sql_object order by position desc;

-- clear_sql_objects --
-- Forget all recorded objects.
with gone as (delete from recsql.sql_object) delete from recsql.sql_digest;

-- record_sql_object --
-- Remember that a file created an object.
insert into recsql.sql_object (kind, identity, file) values (%(kind)s, %(identity)s, %(file)s);

-- repeatable_catalogue --
-- Functions, views and triggers of both schemas, as DROP names them.
select case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end, p.oid::regprocedure::text
from pg_catalog.pg_proc as p
where p.pronamespace in (to_regnamespace('recsql'), to_regnamespace('recsql_api'))
union all
select 'view', c.oid::regclass::text
from pg_catalog.pg_class as c
where c.relkind = 'v' and c.relnamespace in (to_regnamespace('recsql'), to_regnamespace('recsql_api'))
union all
select 'trigger', quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass::text
from pg_catalog.pg_trigger as t
inner join pg_catalog.pg_class as c on c.oid = t.tgrelid
where not t.tgisinternal and t.tgparentid = 0 and c.relnamespace = to_regnamespace('recsql');

-- complete_load --
-- An earlier load of the same content.
select load_no, n_rows, n_events, n_items, n_users, n_present, n_rejected
from recsql.load where state = 'complete' and fingerprint = %(fingerprint)s;

-- begin_load --
-- Begin a load, and hold a lock that ends with the session, so that others see whether it is still being made.
with begun as (
    insert into recsql.load (source, fingerprint) values (%(source)s, %(fingerprint)s) returning load_no
)

select b.load_no
from begun as b
cross join lateral pg_advisory_lock(hashtextextended('recsql.load ' || b.load_no, 0));

-- end_load --
-- Let go of a load's lock.
select pg_advisory_unlock(hashtextextended('recsql.load ' || %(load_no)s::integer, 0));

-- fail_lost_loads --
-- Loads whose session is gone have failed.
with running as materialized (
    select l.load_no from recsql.load as l where l.state = 'running'
),

lost as materialized (
    select r.load_no from running as r where pg_try_advisory_xact_lock(hashtextextended('recsql.load ' || r.load_no, 0))
)

update recsql.load as l
set state = 'failed', error = 'its session ended before it did', finished_at = clock_timestamp()
from lost as g
where l.load_no = g.load_no and l.state = 'running'
returning l.load_no;

-- fail_load --
-- Record why a load failed.
update recsql.load set state = 'failed', error = %(error)s, finished_at = clock_timestamp() where load_no = %(load_no)s;

-- finish_load --
-- Record what a load did; an earlier load of the same content gives way to it.
with earlier as (
    update recsql.load set fingerprint = fingerprint || ' ' || load_no
    where
        state = 'complete'
        and fingerprint = (select l.fingerprint from recsql.load as l where l.load_no = %(load_no)s)
    returning load_no
)

update recsql.load
set
    state = 'complete', finished_at = clock_timestamp(), n_rows = %(n_rows)s, n_events = %(n_events)s,
    n_items = %(n_items)s, n_users = %(n_users)s, n_present = %(n_present)s, n_rejected = %(n_rejected)s
where load_no = %(load_no)s and (select count(*) from earlier) >= 0;

-- undo_load --
-- Take the events of a load back.
delete from recsql.event where load_no = %(load_no)s;

-- forget_fingerprint --
-- Make a load one that can be made again.
update recsql.load set fingerprint = fingerprint || ' ' || load_no where load_no = %(load_no)s;

-- add_inbox_partition --
-- A partition of the inbox for one load; unlogged, since the source can be read again.
select recsql.add_list_partition('recsql.event_inbox', %(load_no)s, true);

-- clean_entities --
-- Clean one load's raw items and users.
select n_items, n_users, n_rejected from recsql.clean_entities(%(load_no)s);

-- clean_events --
-- Clean one load's raw events.
select n_rows, n_events, n_present, n_rejected
from recsql.clean_events(%(load_no)s, %(units_per_second)s, %(max_per_minute)s, %(domain)s);

-- reject_malformed --
-- Keep a line that is not even a row.
insert into recsql.event_rejected (load_no, line_no, raw, reason)
values (%(load_no)s, %(line_no)s, %(raw)s, %(reason)s);

-- rejected_reasons --
-- Why rows of one load were refused, the commonest first.
select reason, count(*) from recsql.event_rejected where load_no = %(load_no)s group by reason order by count(*) desc, reason;

-- redrive_rejected --
-- Move refused events back into the inbox.
select recsql.redrive_rejected(%(load_no)s, %(reason)s, %(only_load_no)s);

-- inbox_has_rows --
-- Whether applications copied anything into the inbox.
select exists (select from recsql.event_inbox_0);

-- take_inbox --
-- Take what applications copied into the inbox.
select recsql.take_inbox(%(load_no)s);

-- run_items --
-- Catalogue of a run and whatever its users had, in the order of item rows.
select item_no from recsql.catalogue(%(run_no)s::integer)
union
select item_no from recsql.interaction where run_no = %(run_no)s
order by item_no;

-- run_sequences --
-- Positive interactions of some users of a run in binary form, in no order: users, steps back, items, weights, kinds, ratings
-- and seconds. Sorting them here takes longer than all else.
select
    array_send(array_agg(i.user_no)),
    array_send(array_agg(i.step)),
    array_send(array_agg(i.item_no)),
    array_send(array_agg(i.weight)),
    array_send(array_agg(coalesce(i.kind_no, -1)::integer)),
    array_send(array_agg(coalesce(i.rating, 0))),
    array_send(array_agg(extract(epoch from i.at)::bigint))
from recsql.interaction as i
where i.run_no = %(run_no)s and i.user_no between %(first)s and %(last)s and i.step is not null;

-- run_dislikes --
-- What users turned down, by how much, and how many of their positive interactions came before.
select d.user_no, d.item_no, -d.weight as weight, d.n_before
from (
    select
        i.user_no,
        i.item_no,
        i.weight,
        i.step,
        count(i.step) over (partition by i.user_no order by i.at, i.event_no) as n_before
    from recsql.interaction as i
    where
        i.run_no = %(run_no)s
        and i.user_no in (
            select t.user_no from recsql.interaction as t where t.run_no = %(run_no)s and t.step is null and t.weight < 0
        )
) as d
where d.step is null and d.weight < 0 and d.n_before > 0
order by d.user_no, d.n_before, d.item_no;

-- run_decisions --
-- What was offered to users and what came of it, with how many interactions came before; nothing where nothing was logged.
select t.user_no, t.item_no, t.reward, t.n_before, t.next_n_before, t.next_item_no, t.propensity
from recsql.transition(%(run_no)s::integer) as t
where exists (select from recsql.impression) and t.n_before > 0
order by t.user_no, t.session_no, t.step;

-- content_vectors --
-- Content vectors of all items, as a run may know them.
select e.item_no, e.embedding
from recsql.item_embedding as e
where e.space_no = (select s.space_no from recsql.run_space(%(run_no)s::integer) as s)
order by e.item_no;

-- run_targets --
-- What is relevant to each user of an offline run.
select user_no, item_no from recsql.relevant_event(%(run_no)s::integer) order by user_no, item_no;

-- add_embedding_space --
-- Make a space, or find it.
select recsql.add_embedding_space(
    %(space)s, %(modality)s, %(model)s, %(revision)s, %(dim)s::integer, %(template)s, %(version_no)s::integer,
    %(source_nos)s::integer []
);

-- embedding_spaces --
-- Spaces that are embedded, those that unite others last.
select s.space_no, s.space, s.modality, s.model, s.revision, s.dim, s.template, s.status, s.version_no, s.source_nos
from recsql.embedding_space as s
where s.status <> 'retired'
order by s.modality = 'unified', s.status <> 'active', s.space_no;

-- space_overview --
-- All spaces with what they hold.
select
    p.space, p.modality, p.model, s.revision, s.dim, p.status, p.n_embedded as embedded, p.n_pending as pending,
    p.n_failed as failed, s.template
from recsql_api.embedding_progress as p
inner join recsql.embedding_space as s on s.space = p.space
order by s.modality, s.status, s.space_no;

-- begin_embedding --
-- Make the session an embedding worker.
select recsql.begin_embedding();

-- queue_embedding --
-- Queue whatever is not embedded as it is now.
select recsql.queue_embedding();

-- retry_embedding --
-- Queue what failed once more.
with gone as (delete from recsql.embedding_failure returning item_no),

paused as (delete from recsql.embedding_provider),

waiting as (update recsql.embedding_task set not_before = null where not_before is not null)

select count(*) from gone;

-- has_embedding_task --
-- A row where an item waits that can be embedded now, or no text space is there yet to wait in.
select 1
where
    exists (select from recsql.embedding_task as t where t.not_before is null or t.not_before <= now())
    or (
        exists (select from recsql.item)
        and not exists (select from recsql.embedding_space as s where s.modality = 'text')
    );

-- embedding_task_counts --
-- How many tasks each space has.
select t.space_no, count(*) from recsql.embedding_task as t group by t.space_no;

-- claim_embeddings --
-- Claim tasks of a space.
select c.item_no, c.content_hash
from recsql.claim_embeddings(%(space_no)s::integer, %(worker_no)s::integer, %(n)s::integer) as c;

-- item_texts --
-- What a space embeds of items; null where that is nothing any more.
select i.item_no, recsql.item_content(i, %(template)s)
from recsql.item as i
where i.item_no = any(%(item_nos)s::integer []);

-- item_media --
-- Media of items, each item's in a fixed order.
select m.item_no, m.sha256, m.mime, m.bytes, m.uri
from recsql.item_media as m
where m.item_no = any(%(item_nos)s::integer []) and m.modality = %(modality)s
order by m.item_no, m.sha256;

-- item_embeddings --
-- Vectors of items in some spaces.
select e.space_no, e.item_no, e.embedding
from recsql.item_embedding as e
where e.space_no = any(%(space_nos)s::integer []) and (%(item_nos)s::integer [] is null or e.item_no = any(%(item_nos)s))
order by e.space_no, e.item_no;

-- write_embeddings --
-- Write the vectors of claimed tasks.
select recsql.write_embeddings(
    %(space_no)s::integer, %(worker_no)s::integer, %(item_nos)s::integer [], %(hashes)s::bytea [], %(embeddings)s::vector []
);

-- give_up_embedding --
-- Set a claimed task aside.
select recsql.give_up_embedding(
    %(space_no)s::integer, %(worker_no)s::integer, %(item_no)s::integer, %(content_hash)s::bytea, %(error)s, %(provider)s
);

-- release_embeddings --
-- Give claims back, for another worker or a later time.
update recsql.embedding_task set claimed_by = null where claimed_by = %(worker_no)s::integer;

-- embedding_failures --
-- What could not be embedded: for good, or what a host has not answered yet.
select f.space, i.item_id, f.state, f.attempts, f.error, f.at
from (
    select s.space, x.item_no, 'failed' as state, x.attempts, x.error, x.failed_at as at
    from recsql.embedding_failure as x
    inner join recsql.embedding_space as s on s.space_no = x.space_no
    union all
    select s.space, t.item_no, 'waits' as state, t.attempts, t.error, t.not_before
    from recsql.embedding_task as t
    inner join recsql.embedding_space as s on s.space_no = t.space_no
    where t.error is not null
) as f
inner join recsql.item as i on i.item_no = f.item_no
where %(space)s::text is null or f.space = %(space)s
order by f.at desc, i.item_id
limit %(n)s;

-- check_n --
-- Refuse a number of rows that no list has.
select recsql.check_n(%(n)s);

-- api_similar_to_vector --
-- Items near a vector.
select v.rank, v.item_id, i.title, v.similarity
from recsql_api.similar_to_vector(%(vector)s, %(n)s, %(space)s, %(domain)s, %(filter)s) as v
inner join recsql.item as i on i.item_id = v.item_id
order by v.rank;

-- switch_embedding_space --
-- Serve a space; the name of the one that was served before.
select recsql.switch_embedding_space(%(space)s, %(min_coverage)s);

-- drop_embedding_space --
-- Remove a space; how many vectors it had.
select recsql.drop_embedding_space(%(space)s);

-- vector_indexes --
-- Sets of vectors, the type that their index holds, whether a build was broken off, and how a new index is made beside it.
select
    s.vector_set,
    s.label,
    s.index_type,
    to_regclass(format('recsql.%I', s.vector_set || '_hnsw_new')) is not null as is_broken_off,
    recsql.vector_index_definition(s.vector_set, s.vector_set || '_hnsw_new', true) as definition
from recsql.vector_set as s
order by s.vector_set;

-- audit_vector_search --
-- Replay searches beside the exact answer, and sum them up.
select
    a.label as vectors,
    a.domain,
    a.strategy,
    count(*) as n_searches,
    count(*) filter (where a.is_completed) as n_completed,
    avg(a.recall)::double precision as recall,
    min(a.recall)::double precision as least_recall,
    max(a.n_estimated) as n_estimated,
    max(a.n_matching) as n_matching,
    1000 * percentile_cont(0.5) within group (order by a.seconds) as p50_ms,
    1000 * percentile_cont(0.99) within group (order by a.seconds) as p99_ms,
    1000 * percentile_cont(0.5) within group (order by a.exact_seconds) as exact_p50_ms
from recsql.audit_vector_search(%(n_queries)s::integer, %(k)s::integer, %(filter)s::jsonb, %(domain)s::text) as a
group by a.label, a.domain, a.strategy
order by a.label, a.domain, a.strategy;

-- audit_scopes --
-- Domains whose searches are worth an audit of their own, after all together.
select null::text as domain
union all
(select d.domain from recsql.domain as d where (select count(*) from recsql.domain) > 1 order by d.domain);

-- make_split --
-- Make an offline split, or find it.
select recsql.make_split(%(protocol)s, %(part)s);

-- input_state --
-- Digests of what a run reads, by which runs on the same are found. data: events, what was shown, items, attributes of users and vectors, of
-- which there are more as time passes. settings: what events are worth, how outcomes are rewarded, and how sources read all of it.
select
    md5(concat_ws(
        ' ', (select max(event_no) from recsql.event), (select count(*) from recsql.event), (select count(*) from recsql.impression),
        (select max(updated_at) from recsql.item), (select count(*) from recsql.item), (select max(embedded_at) from recsql.item_embedding),
        (select sum(hashtextextended(concat(u.user_no, u.attributes), 0)) from recsql.app_user as u where u.attributes <> '{}')
    )) as data,
    md5(concat_ws(
        ' ', (select string_agg(w::text, ' ' order by w.kind_no) from recsql.reward as w),
        (select d::text from recsql.decision_process as d),
        (select string_agg(c.space_no::text, ' ' order by c.space_no) from recsql.embedding_space as c where c.status = 'active'),
        (select digest from recsql.sql_digest), (select string_agg(s::text, ' ' order by s.source_no) from recsql.source as s),
        (select string_agg(k::text, ' ' order by k.kind_no) from recsql.event_kind as k),
        (select string_agg(d::text, ' ' order by d.domain) from recsql.domain as d)
    )) as settings;

-- policy_state --
-- Digest of a fusion policy and of all that it is put together from; null for none.
with recursive part as (
    select f.policy, f.kind, f.weights, f.config
    from recsql.fusion_policy as f
    where f.policy_no = %(policy_no)s
    union
    select f.policy, f.kind, f.weights, f.config
    from part as p
    cross join lateral recsql.fusion_reference(p.kind, p.config) as r
    inner join recsql.fusion_policy as f on f.policy = r.name
)

select md5(string_agg(p::text, ' ' order by p.policy)) from part as p;

-- run_of_input --
-- The newest run on the same input, whole or not.
select run_no, state from recsql.run
where fingerprint = %(fingerprint)s and state <> 'pruned'
order by run_no desc
limit 1;

-- interrupted_run --
-- The newest run of a refresh, if it was stopped or killed less than a day ago, none of its events has been deleted, and less than a tenth
-- has been added, as is where a database is in use; whoever makes a run at the moment has its lock.
select newest.fingerprint, newest.begun_on, newest.part, newest.run_no, newest.started_at, newest.stage
from (
    select
        r.run_no, r.fingerprint, r.begun_on, r.n_events, r.last_event_no, r.stage, r.started_at, r.state, r.error,
        coalesce(s.part, 'production') as part
    from recsql.run as r
    left join recsql.split as s on s.split_no = r.split_no
    where r.settings = %(settings)s
    order by r.run_no desc
    limit 1
) as newest
where
    newest.stage is not null and (newest.state = 'running' or newest.error = %(stopped)s) and newest.started_at > now() - interval '1 day'
    and newest.n_events = (select count(*) from recsql.event as e where e.event_no <= newest.last_event_no)
    and newest.n_events > 9 * (select count(*) from recsql.event as e where e.event_no > newest.last_event_no);

-- run_begun_on --
-- Fingerprint of a part's run of an earlier attempt at a refresh; recipe: all of the fingerprint but the data.
select r.fingerprint
from recsql.run as r
left join recsql.split as s on s.split_no = r.split_no
where
    r.settings = %(settings)s and r.begun_on = %(begun_on)s and coalesce(s.part, 'production') = %(part)s
    and starts_with(r.fingerprint, %(recipe)s || '.') and r.state <> 'pruned'
order by r.run_no desc
limit 1;

-- stages_done --
-- Stages that a run has behind it.
select stage from recsql.run_stage where run_no = %(run_no)s and state = 'complete';

-- lock_run --
-- Be the only one to make a run; the lock ends with the session.
select pg_try_advisory_lock(hashtextextended('recsql.run ' || %(fingerprint)s, 0));

-- wait_for_run --
-- The same, after whoever makes the run now.
select pg_advisory_lock(hashtextextended('recsql.run ' || %(fingerprint)s, 0));

-- unlock_run --
-- Let others make the run.
select pg_advisory_unlock(hashtextextended('recsql.run ' || %(fingerprint)s, 0));

-- begin_run --
-- Begin a run.
select recsql.begin_run(%(split_no)s::integer, %(fingerprint)s, %(config)s::jsonb);

-- let_go_on --
-- Have a run be gone on with if it is stopped, also when more has happened by then.
update recsql.run as r
set
    settings = %(settings)s, begun_on = %(begun_on)s,
    n_events = (select count(*) from recsql.event as e where e.event_no <= r.last_event_no)
where r.run_no = %(run_no)s;

-- begin_stage --
-- A run is at a stage.
update recsql.run set stage = %(stage)s where run_no = %(run_no)s;

-- end_run --
-- A run goes on, is complete, or has failed.
update recsql.run
set
    state = %(state)s, error = %(error)s, finished_at = case when %(state)s <> 'running' then clock_timestamp() end,
    stage = case when %(state)s = 'failed' then stage end
where run_no = %(run_no)s;

-- record_stage --
-- A stage of a run is done.
insert into recsql.run_stage (run_no, stage, state, n_rows, detail, started_at, finished_at)
values (
    %(run_no)s, %(stage)s, 'complete', %(n_rows)s, %(detail)s, clock_timestamp() - make_interval(secs => %(seconds)s),
    clock_timestamp()
)
on conflict (run_no, stage) do update
    set n_rows = excluded.n_rows, detail = excluded.detail, started_at = excluded.started_at, finished_at = excluded.finished_at;

-- refresh_interaction --
-- Stage interactions.
select recsql.refresh_interaction(%(run_no)s::integer);

-- refresh_item_popularity --
-- Stage popularity.
select recsql.refresh_item_popularity(%(run_no)s::integer);

-- refresh_similarity_sequential --
-- Stage sequential.
select recsql.refresh_similarity_sequential(
    %(run_no)s::integer, p_reverse => %(reverse)s::real, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- refresh_similarity_cosine --
-- Stage cosine.
select recsql.refresh_similarity_cosine(
    %(run_no)s::integer, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- refresh_similarity_jaccard --
-- Similarities by jaccard.
select recsql.refresh_similarity_jaccard(
    %(run_no)s::integer, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- refresh_similarity_conditional --
-- Similarities by conditional.
select recsql.refresh_similarity_conditional(
    %(run_no)s::integer, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- refresh_similarity_llr --
-- Similarities by llr.
select recsql.refresh_similarity_llr(
    %(run_no)s::integer, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- refresh_similarity_pearson --
-- Similarities by pearson.
select recsql.refresh_similarity_pearson(
    %(run_no)s::integer, p_part => %(part)s::integer, p_parts => %(parts)s::integer
);

-- follow_release --
-- Bring the served similarities up to the newest event; null where nothing is served.
select recsql.follow_release();

-- refresh_user_similarity_cosine --
-- Similar users, for a source of kind user.
select recsql.refresh_user_similarity_cosine(%(run_no)s::integer, p_source => %(source)s);

-- refresh_user_similarity_vectors --
-- Similar users by the vectors that a model of the run has of them.
select recsql.refresh_user_similarity_vectors(%(run_no)s::integer, %(source)s);

-- refresh_segment_popularity --
-- Popular items of each segment, for a source of kind segment.
select recsql.refresh_segment_popularity(%(run_no)s::integer, %(source)s);

-- clear_similarity --
-- Remove a run's neighbours by one method.
delete from recsql.item_similarity
where run_no = %(run_no)s and source_no = (select source_no from recsql.source where source = %(source)s);

-- source_history --
-- How far back a source reads, and how much each step back counts.
select history_decay, history_rate, history_length from recsql.source where source = %(source)s;

-- source_no --
-- Number of a source.
select source_no from recsql.source where source = %(source)s;

-- add_model_version --
-- Register a trained version.
with named as (
    insert into recsql.model (model) values (%(model)s)
    on conflict (model) do update set model = excluded.model
    returning model_no
)

insert into recsql.model_version (
    model_no, run_no, config, metrics, artifact, artifact_sha256, item_nos, parent_version_no
)
select
    n.model_no, %(run_no)s, %(config)s, %(metrics)s, %(artifact)s, sha256(%(artifact)s::bytea), %(item_nos)s::integer [],
    %(parent)s::integer
from named as n
returning version_no;

-- continuable_version --
-- The version that training can go on from.
select version_no, run_no, differing from recsql.continuable_version(%(run_no)s::integer, %(model)s, %(config)s::jsonb);

-- version_weights --
-- What training goes on from: the artifact, the items of its rows, and what training it from the beginning took.
select artifact, item_nos, metrics -> 'epochs' from recsql.model_version where version_no = %(version)s::integer;

-- new_interactions --
-- Users with something new since an earlier run, and how much of their sequence stands before it.
select user_no, n_known from recsql.new_interaction(%(run_no)s::integer, %(earlier)s::integer) order by user_no;

-- add_model_vectors --
-- Prepare the vectors of a version, which are indexed when they are there.
select recsql.add_model_vectors(%(version_no)s::integer, %(dim)s::integer, p_with_index => false);

-- index_model_vectors --
-- Index the item vectors of a version.
select recsql.add_vector_index('item_vector_' || %(version_no)s::integer);

-- refresh_candidates --
-- Candidates of one source for some users.
select recsql.refresh_candidates(%(run_no)s::integer, %(source)s, %(first)s::integer, %(last)s::integer, %(n)s::integer);

-- analyze_candidates --
-- Fresh statistics before candidates are joined.
select recsql.analyze_candidates();

-- candidate_lists --
-- Candidates of some users in binary form: the user of each list, how many it has, and the lists after each other, all in one
-- order, whichever that is. As vectors, which take a third of the time, where those hold so many and so large numbers exactly.
select
    array_send(array_agg(c.user_no)),
    array_send(array_agg(cardinality(c.item_nos))),
    string_agg(case when v.is_exact then vector_send(c.item_nos::vector) else array_send(c.item_nos) end, ''::bytea)
from recsql.candidate as c
cross join (
    select
        max(cardinality(l.item_nos)) <= 16000
        and (select max(i.item_no) from recsql.item as i) <= 16777216 as is_exact
    from recsql.candidate as l
    where l.run_no = %(run_no)s and l.user_no between %(first)s and %(last)s
) as v
where c.run_no = %(run_no)s and c.user_no between %(first)s and %(last)s and c.item_nos <> '{}';

-- score_lists --
-- What a version thought of some users' candidates, in the same form: users, lengths, items, scores.
select
    array_send(array_agg(x.user_no)),
    array_send(array_agg(cardinality(x.item_nos))),
    string_agg(array_send(x.item_nos), ''::bytea),
    string_agg(array_send(x.scores), ''::bytea)
from recsql.score as x
where
    x.run_no = %(run_no)s and x.version_no = %(version_no)s and x.user_no between %(first)s and %(last)s
    and x.item_nos <> '{}';

-- source_lists --
-- What a source says of some users' candidates in the same form: users, lengths, items, scores.
select
    array_send(array_agg(l.user_no)),
    array_send(array_agg(cardinality(l.item_nos))),
    string_agg(array_send(l.item_nos), ''::bytea),
    string_agg(array_send(l.scores), ''::bytea)
from recsql.source_ranking(%(run_no)s::integer, %(first)s::integer, %(last)s::integer) as l
where l.source_no = %(source_no)s::smallint and l.item_nos <> '{}';

-- source_kinds --
-- Of which kind each source is.
select source_no, kind from recsql.source;

-- item_trends --
-- How many users each item of a run has, and how much it is consumed of late.
select item_no, n_users, trend from recsql.item_popularity where run_no = %(run_no)s;

-- item_domains --
-- The domain of each item of a run, as a number.
select i.item_no, dense_rank() over (order by i.domain) - 1 as domain
from recsql.item as i
where i.item_no in (
    select c.item_no from recsql.catalogue(%(run_no)s::integer) as c
    union
    select n.item_no from recsql.interaction as n where n.run_no = %(run_no)s
)
order by i.item_no;

-- run_version --
-- The newest version of a model that a run has, unless it was pruned.
select v.version_no, v.reused_no, v.item_nos
from recsql.model_version as v
inner join recsql.model as m on m.model_no = v.model_no
where v.run_no = %(run_no)s and m.model = %(model)s and v.artifact is not null
order by v.version_no desc
limit 1;

-- artifact --
-- A version's artifact.
select artifact from recsql.model_version where version_no = %(version_no)s;

-- is_artifact_whole --
-- Whether a version's artifact is what was written.
select sha256(artifact) = artifact_sha256 from recsql.model_version where version_no = %(version_no)s;

-- has_whole_artifacts --
-- Whether all artifacts that a run has are what was written.
select coalesce(bool_and(sha256(artifact) = artifact_sha256), true)
from recsql.model_version
where run_no = %(run_no)s and artifact is not null;

-- model_sources --
-- The active sources that are models, or content: name and kind.
select source, kind from recsql.source where is_active and kind in ('vector', 'score') order by source_no;

-- since_run --
-- A run to go on from: the one that is meant, or what is released where none is.
select
    r.run_no,
    r.state,
    r.split_no is null as is_production,
    r.fingerprint,
    r.config
from recsql.run as r
where r.run_no = coalesce(%(run_no)s::integer, (select l.run_no from recsql.release as l where l.slot = 'default'));

-- keep_model_version --
-- Register a version that has the artifact of an earlier one.
insert into recsql.model_version (model_no, run_no, config, metrics, artifact, artifact_sha256, item_nos, reused_no)
select
    v.model_no, %(run_no)s, v.config, v.metrics, v.artifact, v.artifact_sha256, v.item_nos,
    coalesce(v.reused_no, v.version_no)
from recsql.model_version as v
where v.version_no = %(version_no)s
returning version_no;

-- version_dim --
-- How wide the vectors of a version are; null where it has none.
select dim from recsql.model_version where version_no = %(version_no)s;

-- keep_item_vectors --
-- The item vectors of a version as those of another.
insert into recsql.item_vector (version_no, item_no, embedding)
select %(version_no)s, i.item_no, i.embedding
from recsql.item_vector as i
where i.version_no = %(kept_no)s
order by i.item_no;

-- keep_user_vectors --
-- Some users' vectors of a version as those of another.
insert into recsql.user_vector (version_no, user_no, embedding)
select %(version_no)s, u.user_no, u.embedding
from recsql.user_vector as u
where u.version_no = %(kept_no)s and u.user_no = any(%(user_nos)s::integer [])
order by u.user_no;

-- reset_attributions --
-- Make an empty partition for a version's attributions.
select recsql.reset_version_vectors('attribution', %(version_no)s::integer);

-- keep_attributions --
-- Some users' attributions of a version as those of another; the users who have any.
with kept as (
    insert into recsql.attribution (version_no, user_no, item_no, embedding)
    select %(version_no)s, a.user_no, a.item_no, a.embedding
    from recsql.attribution as a
    where a.version_no = %(kept_no)s and a.user_no = any(%(user_nos)s::integer [])
    returning user_no
)

select distinct k.user_no from kept as k;

-- analyze_attributions --
-- Fresh statistics before attributions are read.
analyze recsql.attribution;

-- unchanged_users --
-- Of whom nothing has changed since an earlier run.
select n.user_no
from recsql.unchanged_user(%(run_no)s::integer, %(since_no)s::integer, %(with_weights)s::boolean) as n
order by n.user_no;

-- forget_training --
-- A run's version cannot be used: the run goes on where it has to be trained again.
with unusable as (
    update recsql.model_version set artifact = null, status = 'retired' where version_no = %(version)s::integer
)

delete from recsql.run_stage as g
where
    g.run_no = %(run_no)s::integer
    and g.started_at >= (select t.started_at from recsql.run_stage as t where t.run_no = g.run_no and t.stage = 'train');

-- analyze_vectors --
-- Fresh statistics before vectors are searched.
analyze recsql.item_vector, recsql.user_vector;

-- clear_scores --
-- Remove what an earlier attempt scored of a run.
select recsql.clear_scores(%(run_no)s::integer);

-- sources --
-- The sources by number.
select source_no, source from recsql.source where is_active order by source_no;

-- sources_of_kind --
-- The active sources of a kind that need no trained model.
select source from recsql.source where is_active and kind = %(kind)s and vectors_of is null order by source_no;

-- sources_of_vectors --
-- The active sources that find similar users by what a model learned of them, and that model.
select s.source, m.source as model
from recsql.source as s
inner join recsql.source as m on m.source_no = s.vectors_of
where s.is_active
order by s.source_no;

-- lists_of_their_own --
-- The active sources that read a list of similarities of their own.
select source from recsql.source
where is_active and kind = 'similarity' and list_of is null and added_to is null
order by source_no;

-- source_overview --
-- All sources; part_of: the one whose score sums its list; vectors_of: the one whose model says who is similar.
select s.source, s.kind, s.is_active as active, w.template as reason, s.description, p.source as part_of, v.source as vectors_of
from recsql.source as s
left join recsql.source as p on p.source_no = s.added_to
left join recsql.source as v on v.source_no = s.vectors_of
cross join lateral recsql.wording('en', s.source) as w
order by s.source_no;

-- switch_sources --
-- Switch sources on or off.
update recsql.source set is_active = %(is_active)s where source = any(%(sources)s) returning source, is_active as active;

-- write_policy --
-- Keep fitted weights; a policy that validation has chosen stays chosen when it is fitted anew.
insert into recsql.fusion_policy (policy, kind, weights, config, run_no, metrics)
values (%(policy)s, %(kind)s, %(weights)s, %(config)s, %(run_no)s, %(metrics)s)
on conflict (policy) do update
    set kind = excluded.kind, weights = excluded.weights, config = excluded.config,
        run_no = coalesce(excluded.run_no, fusion_policy.run_no), metrics = excluded.metrics
returning policy_no;

-- forget_ranker --
-- No longer have a run's ranker chosen, if an earlier attempt chose one.
update recsql.fusion_policy set run_no = null where run_no = %(run_no)s and kind = 'ranker';

-- source_numbers --
-- The number of each source, active or not.
select source_no, source from recsql.source;

-- clear_recommendations --
-- Remove what an earlier attempt recommended to some users.
delete from recsql.recommendation
where run_no = %(run_no)s and user_no between %(first)s and %(last)s;

-- note_policy --
-- By which policy a run was fused.
update recsql.run set policy_no = %(policy_no)s where run_no = %(run_no)s and policy_no is distinct from %(policy_no)s;

-- policy --
-- A fusion policy: its kind, weights and what else its kind needs.
select kind, weights, config from recsql.fusion_policy where policy_no = %(policy_no)s;

-- compared_run --
-- The newest complete validation run of a protocol that has its candidates.
select r.run_no
from recsql.run as r
inner join recsql.split as s on s.split_no = r.split_no and s.part = 'validation' and s.protocol = %(protocol)s
where r.state = 'complete'
order by r.run_no desc
limit 1;

-- compared_sources --
-- The sources that a run has candidates or scores of.
select o.source_no, o.source
from recsql.source as o
where
    exists (select from recsql.candidate as c where c.run_no = %(run_no)s and c.source_no = o.source_no)
    or exists (
        select
        from recsql.model as m
        inner join recsql.model_version as v on v.model_no = m.model_no and v.run_no = %(run_no)s
        inner join recsql.score as x on x.run_no = v.run_no and x.version_no = v.version_no
        where m.model = o.source
    )
order by o.source_no;

-- compared_policies --
-- Fusion policies that SQL executes and that nothing was fitted for: neither they nor what they put together. What was fitted on an earlier
-- validation run has seen the same users as well.
with recursive fitted as (
    select f.policy
    from recsql.fusion_policy as f
    where f.kind = 'ranker' or f.run_no is not null or f.metrics <> '{}'
    union
    select f.policy
    from fitted as p
    inner join recsql.fusion_policy as f
        on exists (select from recsql.fusion_reference(f.kind, f.config) as r where r.name = p.policy)
)

select f.policy
from recsql.fusion_policy as f
where f.policy not in (select p.policy from fitted as p)
order by f.policy;

-- user_attribute --
-- An attribute of the users who have it.
select u.user_no, u.attributes -> %(key)s::text as value
from recsql.app_user as u
where u.attributes ? %(key)s::text;

-- fuse --
-- Fuse for some users.
select recsql.fuse(%(run_no)s::integer, %(policy_no)s::integer, %(first)s::integer, %(last)s::integer);

-- user_range --
-- Users of a run: the ends of two indexes.
select coalesce(min(u.first_no), 0), coalesce(max(u.last_no), -1)
from (
    select min(i.user_no) as first_no, max(i.user_no) as last_no from recsql.interaction as i where i.run_no = %(run_no)s
    union all
    select min(c.user_no) as first_no, max(c.user_no) as last_no
    from recsql.split_cut as c
    where c.split_no = (select r.split_no from recsql.run as r where r.run_no = %(run_no)s)
) as u;

-- user_metric --
-- Quality of one method for each user.
select has_history, ndcg, recall, mrr, average_precision
from recsql.user_metric(%(run_no)s::integer, %(method)s, %(k)s::integer)
order by user_no;

-- list_metric --
-- What one method's lists are like, for each user.
select novelty, popularity_share, diversity
from recsql.list_metric(%(run_no)s::integer, %(method)s, %(k)s::integer)
order by user_no;

-- coverage --
-- Share of the catalogue that a method shows to anybody.
select recsql.coverage(%(run_no)s::integer, %(method)s, %(k)s::integer);

-- has_ranking --
-- Whether a method ranked anything in a run.
select exists (select from recsql.ranked(%(run_no)s::integer, %(method)s));

-- quality_of_users --
-- Quality of one method for each user, with the user's attributes by which fairness is measured.
select m.user_no, m.ndcg, m.recall, coalesce(u.attributes, '{}')
from recsql.user_metric(%(run_no)s::integer, %(method)s, %(k)s::integer) as m
left join recsql.app_user as u on u.user_no = m.user_no
order by m.user_no;

-- popularity_of_lists --
-- How popular one method's lists are, and what the users had, for each user.
select user_no, list_popularity, tail_share, profile_popularity
from recsql.popularity_metric(%(run_no)s::integer, %(method)s, %(k)s::integer)
order by user_no;

-- miscalibration --
-- How far one method's lists are from the users' own histories, for each user.
select user_no, divergence
from recsql.miscalibration(%(run_no)s::integer, %(method)s, %(key)s, %(k)s::integer)
order by user_no;

-- exposure_of_items --
-- Gini index of the exposure of items, and the share of items that are on any list.
select recsql.gini(array_agg(exposure)), avg((n_lists > 0)::integer)::double precision
from recsql.item_exposure(%(run_no)s::integer, %(method)s, %(k)s::integer);

-- item_group_exposure --
-- Shares of groups of items, of exposure, relevance and the catalogue.
select key, item_group, n_items, exposure_share, relevance_share, catalogue_share
from recsql.item_group_exposure(%(run_no)s::integer, %(method)s, %(k)s::integer)
order by key, exposure_share desc, item_group;

-- fairness_keys --
-- Attributes by which fairness is measured.
select key from recsql.fairness_key where side = %(side)s order by key;

-- clear_user_group_fairness --
-- Remove what an earlier attempt measured of one method.
delete from recsql.user_group_fairness where run_no = %(run_no)s and method = %(method)s and k = %(k)s;

-- write_user_group_fairness --
-- Keep a figure of a group of users.
insert into recsql.user_group_fairness (run_no, method, k, key, user_group, metric, value, lo, hi, n_users)
values (
    %(run_no)s, %(method)s, %(k)s, %(key)s, %(user_group)s, %(metric)s, %(value)s, %(lo)s, %(hi)s, %(n_users)s
);

-- clear_item_group_fairness --
-- Remove what an earlier attempt measured of one method.
delete from recsql.item_group_fairness where run_no = %(run_no)s and method = %(method)s and k = %(k)s;

-- write_item_group_fairness --
-- Keep the shares of all groups of items.
insert into recsql.item_group_fairness (
    run_no, method, k, key, item_group, n_items, exposure_share, relevance_share, catalogue_share
)
select %(run_no)s, %(method)s, %(k)s, g.*
from recsql.item_group_exposure(%(run_no)s::integer, %(method)s, %(k)s::integer) as g;

-- measured_run --
-- The newest complete offline run of the test part, or one that is named.
select r.run_no
from recsql.run as r
inner join recsql.split as s on s.split_no = r.split_no
where
    r.state = 'complete'
    and (r.run_no = %(run_no)s::integer or (%(run_no)s::integer is null and s.part = 'test'))
order by r.run_no desc
limit 1;

-- check_category_key --
-- See that items have categories by a key.
select recsql.check_category_key(%(key)s);

-- update_exposure --
-- Bring the prices of exposure of a slot up to the newest impressions.
select recsql.update_exposure(%(slot)s);

-- exposed_slots --
-- The slots that serve something and whose exposure is accounted for, or is to be.
select r.slot
from recsql.release as r
where
    exists (select from recsql.exposure_ledger as l where l.slot = r.slot)
    or exists (select from recsql.control as c where c.slot = r.slot and c.exposure > 0)
order by r.slot;

-- served_slots --
-- The slots that serve something.
select slot from recsql.release order by slot;

-- exposure_prices --
-- The dearest items of a slot.
select i.item_id, i.title, p.exposure, p.target, p.price
from recsql.exposure_price as p
inner join recsql.item as i on i.item_no = p.item_no
where p.slot = %(slot)s
order by p.price desc, p.exposure desc, i.item_id
limit %(n)s;

-- write_evaluation --
-- Keep a figure.
insert into recsql.evaluation (run_no, method, metric, k, segment, value, lo, hi, n_users)
values (%(run_no)s, %(method)s, %(metric)s, %(k)s, %(segment)s, %(value)s, %(lo)s, %(hi)s, %(n_users)s)
on conflict (run_no, method, metric, k, segment) do update
    set value = excluded.value, lo = excluded.lo, hi = excluded.hi, n_users = excluded.n_users, evaluated_at = now();

-- publish_new --
-- Serve a run in a slot by the policy that fused it, unless it is what is served; no row then.
select recsql.publish(r.run_no, r.policy_no, %(slot)s)
from recsql.run as r
where
    r.run_no = %(run_no)s
    and not exists (select from recsql.release as l where l.slot = %(slot)s and l.run_no = r.run_no);

-- fusion_policies --
-- All fusion policies, or one: where each is chosen and served, and who else is put together from it.
select
    f.policy,
    f.kind,
    f.weights,
    f.config,
    f.run_no,
    (f.metrics ->> 'ndcg@10')::double precision as "ndcg@10",
    array(select c.slot from recsql.fusion_choice as c where c.policy_no = f.policy_no order by c.slot) as chosen_in,
    array(select l.slot from recsql.release as l where l.policy_no = f.policy_no order by l.slot) as served_in,
    array(
        select p.policy
        from recsql.fusion_policy as p
        cross join lateral recsql.fusion_reference(p.kind, p.config) as r
        where r.name = f.policy
        order by p.policy
    ) as part_of
from recsql.fusion_policy as f
where %(policy)s::text is null or f.policy = %(policy)s::text
order by f.policy_no;

-- add_fusion_policy --
-- Keep a fusion policy; no row where there is one of that name.
insert into recsql.fusion_policy (policy, kind, weights, config)
values (%(policy)s, %(kind)s, %(weights)s::jsonb, %(config)s::jsonb)
on conflict (policy) do nothing
returning policy, kind, weights, config;

-- drop_fusion_policy --
-- Forget a fusion policy that nothing uses.
delete from recsql.fusion_policy where policy = %(policy)s returning policy;

-- choose_fusion_policy --
-- Have the runs of a slot fused by a policy.
insert into recsql.fusion_choice (slot, policy_no)
values (%(slot)s, %(policy_no)s)
on conflict (slot) do update set policy_no = excluded.policy_no, chosen_at = now();

-- withdraw_fusion_choice --
-- Leave the policy of a slot's runs to validation; no row where none was chosen.
with gone as (delete from recsql.fusion_choice where slot = %(slot)s returning slot, policy_no)

select g.slot, f.policy from gone as g inner join recsql.fusion_policy as f on f.policy_no = g.policy_no;

-- fuses_nothing --
-- Whether a run has candidates and no recommendations.
select
    exists (select from recsql.candidate as c where c.run_no = %(run_no)s)
    and not exists (select from recsql.recommendation as r where r.run_no = %(run_no)s);

-- fusion_choices --
-- The slots whose fusion policy their owner has chosen.
select slot, policy_no from recsql.fusion_choice order by slot;

-- latest_policy --
-- The policy that was fitted on a run.
select policy_no from recsql.fusion_policy where run_no = %(run_no)s order by policy_no desc limit 1;

-- chosen --
-- What the newest validation run chose: policy, unless an owner has chosen that of slot default, and number of epochs by model.
select
    coalesce((select c.policy_no from recsql.fusion_choice as c where c.slot = 'default'), p.policy_no) as policy_no,
    (
        select
            coalesce(
                jsonb_object_agg(m.model, (v.metrics ->> 'epochs')::double precision::integer order by v.version_no), '{}'
            )
        from recsql.model_version as v
        inner join recsql.model as m on m.model_no = v.model_no
        where v.run_no = r.run_no and v.metrics ? 'epochs'
    ) as epochs
from recsql.run as r
inner join recsql.split as s on s.split_no = r.split_no and s.part = 'validation' and s.protocol = %(protocol)s
inner join recsql.fusion_policy as p on p.run_no = r.run_no
where r.state in ('complete', 'pruned')
order by r.run_no desc, p.policy_no desc
limit 1;

-- default_policy --
-- The policy where validation has chosen none: the owner's choice for slot default, else the one that needs no fitting.
select coalesce(
    (select c.policy_no from recsql.fusion_choice as c where c.slot = 'default'),
    (select f.policy_no from recsql.fusion_policy as f where f.policy = 'rrf')
) as policy_no;

-- quality --
-- The figures of a run.
select method, metric || '@' || k as metric, segment, value, lo, hi, n_users
from recsql.evaluation
where run_no = %(run_no)s
order by metric, segment, value desc;

-- api_recommend --
-- Recommendations, with titles for people.
select r.rank, r.item_id, i.title, r.score, r.reason, r.request_id::text as request_id
from recsql_api.recommend(
    %(user_id)s, %(n)s::integer, %(domain)s, p_explore => %(explore)s, p_log => %(log)s, p_diversity => %(diversity)s,
    p_novelty => %(novelty)s
) as r
inner join recsql.item as i on i.item_id = r.item_id
order by r.rank;

-- load_status --
-- The newest loads.
select l.load_no, l.source, l.state, l.n_rows, l.n_events, l.n_rejected, l.started_at, left(split_part(l.error, chr(10), 1), 100) as error
from recsql.load as l
order by l.load_no desc
limit 5;

-- run_status --
-- The newest runs. state: running where somebody makes it, killed where nobody does, partial where it was asked for no further. stage: what is
-- being done, or was when the run ended, else what was done last.
with making as (
    select (k.classid::bigint << 32) | k.objid::bigint as key
    from pg_locks as k
    where
        k.locktype = 'advisory' and k.objsubid = 1
        and k.database = (select d.oid from pg_database as d where d.datname = current_database())
)

select
    r.run_no,
    coalesce(s.protocol || ' ' || s.part, 'production') as part,
    case
        when r.state <> 'running' or hashtextextended('recsql.run ' || r.fingerprint, 0) in (select m.key from making as m) then r.state
        when r.stage is null then 'partial'
        else 'killed'
    end as state,
    coalesce(
        r.stage, (select g.stage from recsql.run_stage as g where g.run_no = r.run_no order by g.finished_at desc limit 1)
    ) as stage,
    r.started_at,
    round(extract(epoch from r.finished_at - r.started_at))::integer as seconds,
    exists (select from recsql.release as l where l.run_no = r.run_no) as served,
    left(split_part(r.error, chr(10), 1), 100) as error
from recsql.run as r
left join recsql.split as s on s.split_no = r.split_no
order by r.run_no desc
limit 10;

-- example_users --
-- Users with the longest and a middling history.
select user_id from (
    select u.user_id, row_number() over (order by count(*) desc, u.user_id) as position
    from recsql.event as e inner join recsql.app_user as u on u.user_no = e.user_no
    group by u.user_id
) as u where u.position in (1, 100) order by u.position;

-- rollback --
-- Serve the run before.
select recsql.rollback();

-- rejected --
-- Refused rows by reason: events, items and users.
select r.load_no, r.reason, count(*) as n_rows, min(r.example) as example
from (
    select e.load_no, e.reason, left(coalesce(e.raw, concat_ws(',', e.user_id, e.item_id, e.kind, e.value, e.at)), 200) as example
    from recsql.event_rejected as e
    union all
    select t.load_no, t.reason, left(concat_ws(' ', t.entity, t.entity_id, t.payload), 200)
    from recsql.entity_rejected as t
) as r
group by r.load_no, r.reason
order by r.load_no, n_rows desc, r.reason;

-- prune_runs --
-- Forget old runs but for their figures.
select run_no from recsql.prune_runs(%(keep)s::integer);

-- model_versions --
-- Versions of a model, or of all.
select
    version_no as version,
    model,
    run_no,
    part,
    created_at,
    epochs,
    ndcg as "ndcg@10",
    n_bytes,
    is_served as served,
    is_promoted as promoted
from recsql.model_registry
where %(model)s::text is null or model = %(model)s
order by version_no;

-- model_version --
-- All that is known of a version but its figures. trained_until: newest event that training saw, null once the run is pruned;
-- reused: the version that was trained, where this one has only taken its artifact over.
select
    g.version_no as version,
    g.model,
    g.run_no,
    g.created_at,
    g.is_served as served,
    g.is_promoted as promoted,
    g.parent_version_no as parent,
    v.config,
    v.metrics,
    jsonb_build_object(
        'part', g.part, 'as_of', r.as_of, 'last_event_no', r.last_event_no, 'trained_until', i.trained_until,
        'n_interactions', i.n_interactions, 'reused', v.reused_no
    ) as data,
    jsonb_build_object('n_bytes', g.n_bytes, 'sha256', g.sha256) as artifact,
    jsonb_build_object(
        'dim', g.dim,
        'n_items', (select count(*) from recsql.item_vector as x where x.version_no = g.version_no),
        'n_users', (select count(*) from recsql.user_vector as x where x.version_no = g.version_no)
    ) as vectors
from recsql.model_registry as g
inner join recsql.model_version as v on v.version_no = g.version_no
left join recsql.model_version as t on t.version_no = v.reused_no
left join recsql.run as r on r.run_no = coalesce(t.run_no, g.run_no)
cross join lateral (
    select max(n.at) as trained_until, nullif(count(*), 0) as n_interactions
    from recsql.interaction as n
    where n.run_no = coalesce(t.run_no, g.run_no)
) as i
where g.version_no = %(version)s::integer;

-- model_quality --
-- What a version reached in the run that trained it.
select e.metric || '@' || e.k as metric, e.segment, e.value, e.lo, e.hi, e.n_users
from recsql.model_registry as g
inner join recsql.evaluation as e on e.run_no = g.run_no and e.method = g.model
where g.version_no = %(version)s::integer
order by e.metric, e.segment;

-- compare_models --
-- Facts of several versions side by side, each as an object from version to value: data, config, what training measured
-- (metric) and what the run was found to reach (quality).
with wanted as (
    select g.*, v.config, v.metrics, r.last_event_no
    from recsql.model_registry as g
    inner join recsql.model_version as v on v.version_no = g.version_no
    left join recsql.run as r on r.run_no = g.run_no
    where g.version_no = any(%(versions)s::integer [])
),

fact as (
    select w.version_no, 1 as position, 'data' as kind, d.name, d.value
    from wanted as w
    cross join lateral (
        values
        ('model', to_jsonb(w.model)), ('part', to_jsonb(w.part)), ('run_no', to_jsonb(w.run_no)),
        ('last_event_no', to_jsonb(w.last_event_no)), ('created_at', to_jsonb(w.created_at)),
        ('promoted', to_jsonb(w.is_promoted)), ('parent', to_jsonb(w.parent_version_no))
    ) as d (name, value)
    union all
    select w.version_no, 2 as position, 'config' as kind, c.key as name, c.value
    from wanted as w cross join lateral jsonb_each(w.config) as c
    union all
    select w.version_no, 3 as position, 'metric' as kind, c.key as name, c.value
    from wanted as w cross join lateral jsonb_each(w.metrics) as c
    union all
    select w.version_no, 4 as position, 'quality' as kind, e.metric || '@' || e.k as name, to_jsonb(e.value) as value
    from wanted as w
    inner join recsql.evaluation as e on e.run_no = w.run_no and e.method = w.model and e.segment = 'all'
)

select
    f.kind,
    f.name,
    jsonb_object_agg(f.version_no, f.value) as by_version,
    count(distinct f.value) > 1 or count(f.value) < (select count(*) from wanted) as differs
from fact as f
group by f.position, f.kind, f.name
order by f.position, f.name;

-- model_artifact --
-- A version's artifact and what its digest must be.
select v.artifact, encode(v.artifact_sha256, 'hex') as sha256, v.run_no
from recsql.model_version as v
where v.version_no = %(version)s::integer;

-- version_config --
-- The configuration of a version.
select m.model, v.config
from recsql.model_version as v
inner join recsql.model as m on m.model_no = v.model_no
where v.version_no = %(version)s::integer;

-- promote_model --
-- Let following runs use a version's configuration.
select recsql.promote_model(%(version)s::integer) as replaced;

-- rollback_model --
-- Take the newest promotion of a model back.
select recsql.rollback_model(%(model)s) as version;

-- promoted_models --
-- The configurations that runs use in place of the defaults.
select model, version_no, config from recsql.promoted_model order by model;

-- version_release --
-- The run that trained a version, if it is a complete one on all events, and where it stands with what is served.
select
    r.run_no,
    exists (select from recsql.release as l where l.run_no = r.run_no) as is_served,
    exists (select from recsql.release_log as g where g.run_no = r.run_no and g.action = 'publish') as was_served,
    r.policy_no
from recsql.model_version as v
inner join recsql.run as r on r.run_no = v.run_no
where v.version_no = %(version)s::integer and r.split_no is null and r.state = 'complete';

-- prune_models --
-- Forget artifacts and vectors that no kept run uses, or only tell which.
select version_no as version, model, run_no, n_bytes from recsql.prune_models(%(keep)s::integer, %(dry_run)s::boolean);

-- lock_studies --
-- Be the only one to make the tables of studies, or a study; the lock ends with the session.
select pg_advisory_lock(hashtextextended('recsql.studies', 0));

-- unlock_studies --
-- Let others.
select pg_advisory_unlock(hashtextextended('recsql.studies', 0));

-- create_study_schema --
-- Make room for Optuna's tables.
create schema if not exists recsql_optuna;

-- run_fingerprint --
-- Digest of all that a run reads.
select fingerprint from recsql.run where run_no = %(run_no)s::integer;

-- run_stages --
-- What a run has behind it.
select
    g.stage,
    g.n_rows,
    extract(epoch from g.finished_at - g.started_at)::double precision as seconds,
    (select string_agg(d.key || ': ' || d.value, '; ' order by d.key) from jsonb_each_text(g.detail) as d) as note
from recsql.run_stage as g
where g.run_no = %(run_no)s
order by g.finished_at;

-- embedding_status --
-- Vectors by space.
select space, n_embedded, n_pending, n_failed, last_embedded_at from recsql_api.embedding_progress order by space;

-- job_status --
-- Jobs by task and state.
select task_name as task, status::text as state, count(*) as n_jobs, max(attempts) as attempts
from procrastinate.procrastinate_jobs
group by task_name, status
order by task_name, status;

-- refresh_activity --
-- Count what has happened since for trending, or everything anew; how many events are counted in all.
select recsql.refresh_activity(%(anew)s);

-- vacuum_pending --
-- Give back the room of what was pending, all of it, since it is read from end to end; skipped where somebody else does.
vacuum (skip_locked, index_cleanup on) recsql.activity_pending;

-- event_users --
-- The first and the last user who did anything.
select coalesce(min(e.user_no), 0), coalesce(max(e.user_no), -1) from recsql.event as e;

-- user_items --
-- What some users turned to, each item at its newest event, in binary form and in no order: users, items, and places from the
-- oldest on.
with newest as (
    select distinct on (e.user_no, e.item_no) e.user_no, e.item_no, e.at, e.event_no
    from recsql.event as e
    inner join recsql.event_kind as k on k.kind_no = e.kind_no and k.weight > 0
    where e.user_no between %(first)s::integer and %(last)s::integer and e.at <= now()
    order by e.user_no, e.item_no, e.at desc, e.event_no desc
),

placed as (
    select
        n.user_no, n.item_no, row_number() over (partition by n.user_no order by n.at, n.event_no)::integer as place
    from newest as n
)

select array_send(array_agg(p.user_no)), array_send(array_agg(p.item_no)), array_send(array_agg(p.place))
from placed as p;

-- described_items --
-- Items that have a vector in one of some spaces.
select distinct e.item_no
from recsql.item_embedding as e
where e.space_no = any(%(space_nos)s::integer [])
order by e.item_no;

-- space_vectors --
-- Vectors of items in a space.
select e.item_no, e.embedding
from recsql.item_embedding as e
where e.space_no = %(space_no)s::integer and e.item_no = any(%(item_nos)s::integer [])
order by e.item_no;

-- space_of_revision --
-- The space of a model's revision.
select s.space from recsql.embedding_space as s where s.modality = %(modality)s and s.revision = %(revision)s;

-- unified_artifact --
-- What projects into a unified space: its name, the artifact and its digest, and the numbers of the spaces that it unites.
select s.space, v.artifact, v.artifact_sha256, s.source_nos
from recsql.embedding_space as s
inner join recsql.model_version as v on v.version_no = s.version_no
where s.space_no = %(space_no)s::integer;

-- unified_sources --
-- The spaces that a unified space unites, in their order.
select t.space, t.model, t.revision, t.dim
from recsql.embedding_space as s
cross join unnest(s.source_nos) with ordinality as n (space_no, place)
inner join recsql.embedding_space as t on t.space_no = n.space_no
where s.space_no = %(space_no)s::integer
order by n.place;

-- add_bandit_policy --
-- Make a ranking policy of kind bandit; no row where there is one of that name.
insert into recsql.ranking_policy (policy, kind, explore, config)
values (%(policy)s, 'bandit', %(explore)s, %(config)s::jsonb)
on conflict (policy) do nothing
returning ranking_policy_no;

-- sampled_contents --
-- Content vectors of some items of a space, drawn at random.
select e.item_no, e.embedding
from recsql.item_embedding as e
where e.space_no = %(space_no)s::integer
order by hashint4extended(e.item_no, 0)
limit %(n)s::integer;

-- fusion_policy_named --
-- A way of fusing sources, by its name.
select f.policy_no from recsql.fusion_policy as f where f.policy = %(policy)s;

-- write_new_bandit --
-- What a bandit is before it has read anything; its row stays the same where there is one, for those who wait for it.
insert into recsql.bandit as b (
    ranking_policy_no, space_no, center, projection, gram, moment, theta, spread, scale, draws, noise
)
values (
    %(policy_no)s, %(space_no)s, %(center)s::vector, %(projection)s::text []::vector [], %(gram)s, %(moment)s, %(theta)s::vector,
    %(spread)s::text []::vector [], %(scale)s, %(draws)s::text []::vector [], %(noise)s
)
on conflict (ranking_policy_no) do update
set
    space_no = excluded.space_no, center = excluded.center, projection = excluded.projection, gram = excluded.gram,
    moment = excluded.moment, square = excluded.square, weight = excluded.weight, n_outcomes = excluded.n_outcomes,
    theta = excluded.theta, spread = excluded.spread, scale = excluded.scale, draws = excluded.draws, noise = excluded.noise,
    faded_at = excluded.faded_at, closed_until = excluded.closed_until, begun_at = excluded.begun_at,
    swept_at = excluded.swept_at, swept_event_no = excluded.swept_event_no, updated_at = excluded.updated_at;

-- forget_bandit_items --
-- Forget what a bandit has learnt of single items.
delete from recsql.bandit_item where ranking_policy_no = %(policy_no)s;

-- forget_bandit_impressions --
-- Forget which impressions a bandit has read.
delete from recsql.bandit_impression where ranking_policy_no = %(policy_no)s;

-- lock_bandit --
-- A bandit, which nobody else changes until the transaction ends.
select
    b.ranking_policy_no, p.policy, p.config, b.gram, b.moment, b.square, b.weight, b.n_outcomes, b.faded_at, b.begun_at, now()
from recsql.bandit as b
inner join recsql.ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
where p.policy = %(policy)s
for no key update of b;

-- bandit_items --
-- What a bandit keeps of single items: of those named, or of all.
select i.item_no, i.weight, i.total, i.features
from recsql.bandit_item as i
where
    i.ranking_policy_no = %(policy_no)s
    and (%(item_nos)s::integer [] is null or i.item_no = any(%(item_nos)s::integer []))
order by i.item_no;

-- write_bandit_item --
-- What a bandit keeps of an item.
insert into recsql.bandit_item (ranking_policy_no, item_no, weight, total, features, shift, value, variance)
values (
    %(policy_no)s, %(item_no)s, %(weight)s, %(total)s, %(features)s, %(shift)s::vector, %(value)s, %(variance)s
)
on conflict (ranking_policy_no, item_no) do update
set
    weight = excluded.weight, total = excluded.total, features = excluded.features, shift = excluded.shift,
    value = excluded.value, variance = excluded.variance;

-- write_bandit --
-- What a bandit has learnt.
update recsql.bandit as b
set
    gram = %(gram)s, moment = %(moment)s, square = %(square)s, weight = %(weight)s, n_outcomes = %(n_outcomes)s,
    theta = %(theta)s::vector, spread = %(spread)s::text []::vector [], scale = %(scale)s,
    draws = %(draws)s::text []::vector [], noise = %(noise)s, faded_at = %(faded_at)s, updated_at = now()
where b.ranking_policy_no = %(policy_no)s;

-- plan_bandit_reading --
-- From where a bandit reads: from closed_until every hour (is_whole), else from a while before it did so last.
select
    w.is_whole,
    (
        case
            when w.is_whole then b.closed_until
            else greatest(b.closed_until, b.swept_at - %(look_back)s::interval - %(settle)s::interval)
        end
    )::text as after,
    -- Events are numbered in blocks of 1000.
    case when not w.is_whole then b.swept_event_no - 100000 end as event_no,
    now() as swept_at,
    (select q.last_value from recsql.event_no_seq as q) as swept_event_no
from recsql.bandit as b
cross join lateral (
    select b.swept_at is null or b.swept_at <= now() - %(sweep_every)s::interval as is_whole
) as w
where b.ranking_policy_no = %(policy_no)s::integer;

-- unread_bandit_requests --
-- The oldest requests with impressions that a bandit has not read, and the time of the first of those.
select i.request_id, min(i.at) as at
from recsql.impression as i
where
    -- The planner knows the first; the second may have moved on since.
    i.at > %(after)s::text::timestamptz
    and i.at > (select b.closed_until from recsql.bandit as b where b.ranking_policy_no = %(policy_no)s::integer)
    and i.at <= now()
    and not exists (
        select from recsql.bandit_impression as r
        where
            r.ranking_policy_no = %(policy_no)s::integer
            and (r.request_id, r.position) = (i.request_id, i.position)
    )
    -- Nothing came of it, or not yet.
    and (
        i.at <= now() - %(settle)s::interval
        or exists (select from recsql.event as e where e.request_id = i.request_id and e.at >= i.at)
    )
group by i.request_id
order by min(i.at), i.request_id
limit %(limit)s::integer;

-- read_bandit_impressions --
-- Note the impressions of some requests that a bandit has not read: what is counted of them, or why it is not.
with picked as materialized (
    select i.request_id, min(i.at) as at, b.closed_until
    from unnest(%(request_ids)s::uuid []) as n (request_id)
    inner join recsql.bandit as b on b.ranking_policy_no = %(policy_no)s::integer
    inner join recsql.impression as i on i.request_id = n.request_id and i.at > b.closed_until and i.at <= now()
    where not exists (
        select from recsql.bandit_impression as r
        where r.ranking_policy_no = b.ranking_policy_no and (r.request_id, r.position) = (i.request_id, i.position)
    )
    group by i.request_id, b.closed_until
),

asked as materialized (
    select
        p.request_id, p.closed_until, q.pool_nos, coalesce(q.at, p.at) as at,
        recsql.standing(q.pool_scores::double precision []) as standings,
        (select count(*) from recsql.event as e where e.request_id = p.request_id and e.at >= p.at) as n_events
    from picked as p
    left join recsql.request as q on q.request_id = p.request_id
),

shown as materialized (
    select o.*, a.n_events, a.at as asked_at, a.standings[array_position(a.pool_nos, o.item_no)] as standing
    from asked as a
    cross join lateral recsql.request_outcome(a.request_id) as o
    where
        o.at > a.closed_until
        and not exists (
            select from recsql.bandit_impression as r
            where
                r.ranking_policy_no = %(policy_no)s::integer
                and (r.request_id, r.position) = (o.request_id, o.position)
        )
),

slate as materialized (
    select
        s.request_id, s.user_no, s.asked_at,
        array_agg(s.position order by s.position) as positions,
        array_agg(s.item_no order by s.position) as item_nos,
        array_agg(s.standing order by s.position) as standings
    from shown as s
    where s.reason is null
    group by s.request_id, s.user_no, s.asked_at
),

described as materialized (
    select s.request_id, s.positions[f.place] as position, f.features::real [] as features
    from slate as s
    cross join lateral recsql.bandit_feature(
        %(policy_no)s::integer, s.user_no, s.asked_at, s.item_nos, s.standings
    ) as f
),

judged as (
    select
        s.*, d.features,
        case
            when s.reason is not null then s.reason
            when d.features is null then 'its item is not there any more'
        end as refused
    from shown as s
    left join described as d on d.request_id = s.request_id and d.position = s.position
)

insert into recsql.bandit_impression as n (
    ranking_policy_no, request_id, position, item_no, at, features, reward, n_events, reason
)
select
    %(policy_no)s::integer, j.request_id, j.position, j.item_no, j.at,
    case
        when j.refused is null
            then j.features[1 : 1] || (1 / log(2, 1 + j.position))::real || j.features[3 :]
    end,
    case when j.refused is null then j.reward else 0 end,
    j.n_events, j.refused
from judged as j
returning
    n.item_no, n.features, (extract(epoch from now() - n.at) / 86400)::double precision, 0::double precision, n.reward, n.reason;

-- correct_bandit_impressions --
-- Note what has come of impressions since a bandit read them; those that are worth more or less than it counted.
-- Of requests that events after event_no name; of all where that is null.
with noted as materialized (
    select r.request_id, min(r.at) as at, max(r.n_events) as n_events
    from recsql.bandit_impression as r
    where %(event_no)s::bigint is null and r.ranking_policy_no = %(policy_no)s::integer and r.reason is null
    group by r.request_id
    union all
    select r.request_id, min(r.at) as at, max(r.n_events) as n_events
    from (
        select distinct e.request_id
        from recsql.event as e
        where e.event_no > %(event_no)s::bigint and e.request_id is not null
    ) as c
    inner join recsql.bandit_impression as r
        on r.ranking_policy_no = %(policy_no)s::integer and r.request_id = c.request_id and r.reason is null
    group by r.request_id
),

claim as (
    select n.request_id, count(*) as n_events
    from noted as n
    inner join recsql.event as e on e.request_id = n.request_id and e.at >= n.at
    where e.at > (select b.closed_until from recsql.bandit as b where b.ranking_policy_no = %(policy_no)s::integer)
    group by n.request_id
),

outcome as materialized (
    select r.request_id, r.position, coalesce(c.n_events, 0) as n_events, r.reward as counted, o.reward
    from noted as n
    left join claim as c on c.request_id = n.request_id
    cross join lateral recsql.request_outcome(n.request_id) as o
    inner join recsql.bandit_impression as r
        on r.ranking_policy_no = %(policy_no)s::integer and (r.request_id, r.position) = (o.request_id, o.position)
    where n.n_events <> coalesce(c.n_events, 0) and r.reason is null and o.reward not in ('NaN', 'Infinity', '-Infinity')
),

corrected as (
    update recsql.bandit_impression as r
    set reward = o.reward, n_events = o.n_events
    from outcome as o
    where
        r.ranking_policy_no = %(policy_no)s::integer
        and (r.request_id, r.position) = (o.request_id, o.position)
    returning r.item_no, r.features, r.at, o.counted, r.reward
)

select c.item_no, c.features, (extract(epoch from now() - c.at) / 86400)::double precision as age, c.counted, c.reward
from corrected as c
where c.counted <> c.reward;

-- close_bandit_impressions --
-- Forget impressions of which nothing can come any more, or which are so old and have all been read.
with closed as (
    update recsql.bandit as b
    set
        closed_until = greatest(
            b.closed_until,
            least(
                %(swept_at)s::timestamptz - greatest(
                    %(slack)s::interval + coalesce((select max(w.within) from recsql.reward as w), interval '0'),
                    %(settle)s::interval
                ),
                coalesce(%(read_until)s::timestamptz - interval '1 microsecond', 'infinity')
            )
        )
    where b.ranking_policy_no = %(policy_no)s::integer
    returning b.ranking_policy_no, b.closed_until
)

delete from recsql.bandit_impression as r
using closed as c
where r.ranking_policy_no = c.ranking_policy_no and r.at <= c.closed_until;

-- note_bandit_sweep --
-- Note that a bandit has read all that was there at that time.
update recsql.bandit as b
set
    swept_at = greatest(b.swept_at, %(swept_at)s::timestamptz),
    swept_event_no = greatest(b.swept_event_no, %(swept_event_no)s::bigint)
where b.ranking_policy_no = %(policy_no)s::integer;

-- bandit_overview --
-- The bandits, or one of them, with what they have learnt.
select
    p.policy,
    p.config ->> 'bandit' as kind,
    s.space,
    s.status as space_status,
    b.n_outcomes,
    i.n_items,
    i.mean_reward,
    b.scale as deviation,
    p.explore,
    array(select r.slot from recsql.release as r where r.ranking_policy_no = p.ranking_policy_no order by r.slot) as slots,
    b.updated_at
from recsql.bandit as b
inner join recsql.ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
left join recsql.embedding_space as s on s.space_no = b.space_no
cross join lateral (
    select count(*) as n_items, sum(t.total) / nullif(sum(t.weight), 0) as mean_reward
    from recsql.bandit_item as t
    where t.ranking_policy_no = b.ranking_policy_no
) as i
where %(policy)s::text is null or p.policy = %(policy)s::text
order by p.policy;

-- bandit_weights --
-- Weights of a bandit's features and their standard deviations.
select
    t.nth, t.weight,
    b.scale * (
        select sqrt(sum(power((s.direction::real [])[t.nth], 2))) from unnest(b.spread) as s (direction)
    ) as deviation
from recsql.bandit as b
inner join recsql.ranking_policy as p on p.ranking_policy_no = b.ranking_policy_no
cross join lateral unnest(b.theta::real []) with ordinality as t (weight, nth)
where p.policy = %(policy)s
order by t.nth;

-- bandit_skipped --
-- Impressions that a bandit has read and does not count, by reason, as long as outcomes might come.
select r.reason, count(*) as n
from recsql.bandit_impression as r
inner join recsql.ranking_policy as p on p.ranking_policy_no = r.ranking_policy_no
where p.policy = %(policy)s and r.reason is not null
group by r.reason
order by count(*) desc, r.reason;

-- version_model --
-- A version's run, artifact, and the item of each of its rows.
select v.run_no, v.artifact, v.item_nos
from recsql.model_version as v
where v.version_no = %(version)s::integer;

-- decided_states --
-- The states in which decisions were taken, as users and how many of their interactions came before.
select distinct t.user_no, t.n_before from recsql.transition(%(run_no)s::integer) as t where t.n_before > 0;

-- reset_state_vectors --
-- Make an empty partition for a version's states.
select recsql.reset_version_vectors('state_vector', %(version)s::integer);

-- other_user --
-- A user who is not of a simulation, if there is one, and whether he is of another one.
select u.user_id, u.attributes @> '{"simulated": true}' as is_simulated
from recsql.app_user as u
where not u.attributes @> jsonb_build_object('simulated', true, 'simulation', %(simulation)s::text)
order by is_simulated, u.user_no
limit 1;

-- other_item --
-- The first of some items that goes by another title here.
select i.item_id, i.title
from unnest(%(item_ids)s::text [], %(titles)s::text []) as t (item_id, title)
inner join recsql.item as i on i.item_id = t.item_id and i.title is distinct from t.title
order by i.item_id
limit 1;

-- simulated_requests --
-- A table for the requests of a simulation as they are copied, one row per request, gone with the transaction.
create temporary table simulated_request (
    request_id uuid, user_id text, policy text, explore double precision, pool_ids text [], pool_scores real [], item_ids text [],
    propensities double precision [], conditionals double precision [], at timestamptz
) on commit drop;

-- put_simulated_requests --
-- Writes the copied requests and their impressions, less those that are there; rows of each.
with added as (
    insert into recsql.request (request_id, user_no, slot, policy, explore, pool_nos, pool_scores, at)
    select s.request_id, u.user_no, 'default', s.policy, s.explore, p.item_nos, s.pool_scores, s.at
    from pg_temp.simulated_request as s
    inner join recsql.app_user as u on u.user_id = s.user_id
    cross join lateral (
        select array_agg(i.item_no order by t.place) as item_nos
        from unnest(s.pool_ids) with ordinality as t (item_id, place)
        inner join recsql.item as i on i.item_id = t.item_id
    ) as p
    on conflict do nothing
    returning request_id
),

shown as (
    insert into recsql.impression (request_id, position, user_no, item_no, policy, propensity, conditional, at)
    select s.request_id, t.position, u.user_no, i.item_no, s.policy, t.propensity, t.conditional, s.at
    from pg_temp.simulated_request as s
    inner join recsql.app_user as u on u.user_id = s.user_id
    cross join lateral unnest(s.item_ids, s.propensities, s.conditionals)
        with ordinality as t (item_id, propensity, conditional, position)
    inner join recsql.item as i on i.item_id = t.item_id
    on conflict do nothing
    returning request_id
)

select (select count(*) from added), (select count(*) from shown);

-- ranking_policy --
-- A ranking policy by its name.
select p.ranking_policy_no, p.policy, p.kind, p.version_no, p.explore, p.config, p.created_at
from recsql.ranking_policy as p
where p.policy = %(policy)s;

-- ranking_policies --
-- All ranking policies, the model of each, where each is served, and the newest verdict on each.
select
    p.policy,
    p.kind,
    m.model,
    p.version_no as version,
    p.explore,
    p.config,
    array(select r.slot from recsql.release as r where r.ranking_policy_no = p.ranking_policy_no order by r.slot) as slots,
    e.verdict,
    e.evaluated_at,
    p.created_at
from recsql.ranking_policy as p
left join recsql.model_version as v on v.version_no = p.version_no
left join recsql.model as m on m.model_no = v.model_no
left join lateral (
    select n.verdict, n.evaluated_at
    from recsql.policy_evaluation as n
    where n.ranking_policy_no = p.ranking_policy_no
    order by n.evaluated_at desc, n.evaluation_no desc
    limit 1
) as e on true
order by p.ranking_policy_no;

-- add_ranking_policy --
-- Register a ranking policy, unless there is one of this name.
insert into recsql.ranking_policy (policy, kind, version_no, explore)
values (%(policy)s, %(kind)s, %(version)s::integer, %(explore)s::double precision)
on conflict (policy) do nothing
returning policy, kind, version_no as version, explore, config;

-- drop_ranking_policy --
-- Remove a ranking policy that no slot serves, with its propensities and evaluations; decisions stay. Whoever promotes it meanwhile
-- waits, and finds it gone.
delete from recsql.ranking_policy as p
using (select q.ranking_policy_no from recsql.ranking_policy as q where q.policy = %(policy)s for update) as l
where p.ranking_policy_no = l.ranking_policy_no and not exists (
    select from recsql.release as r where r.ranking_policy_no = p.ranking_policy_no
)
returning p.policy;

-- policy_slots --
-- The slots that serve a ranking policy.
select r.slot
from recsql.release as r
inner join recsql.ranking_policy as p on p.ranking_policy_no = r.ranking_policy_no
where p.policy = %(policy)s
order by r.slot;

-- logged_requests --
-- Requests of a part of the log, oldest first: whether all of the request can be used, its policy, its number, the pool, and of each
-- impression, pins aside, its position (free_position), its place in the pool, its reward and its propensities.
select
    bool_and(
        (
            o.reason is null and o.propensity > 0 and o.conditional > 0 and f.position >= 1
            and array_position(r.pool_nos, o.item_no) is not null
        ) is true
    ),
    r.policy,
    r.request_id,
    r.pool_nos,
    r.pool_scores,
    array_agg(f.position order by o.position),
    array_agg(array_position(r.pool_nos, o.item_no) order by o.position),
    array_agg(o.reward::double precision order by o.position),
    array_agg(o.propensity::double precision order by o.position),
    array_agg(o.conditional::double precision order by o.position)
from recsql.request as r
inner join recsql.app_user as u on u.user_no = r.user_no
inner join recsql.outcome as o on o.request_id = r.request_id
cross join lateral (select recsql.free_position(r.controls, o.position) as position) as f
where
    f.position is not null
    and (%(from_at)s::timestamptz is null or r.at >= %(from_at)s)
    and (%(until_at)s::timestamptz is null or r.at < %(until_at)s)
    and (%(slot)s::text is null or r.slot = %(slot)s)
    and (%(domain)s::text is null or r.domain = %(domain)s)
    and (%(segment)s::jsonb is null or u.attributes @> %(segment)s)
    and (%(logging_policy)s::text is null or r.policy = %(logging_policy)s)
group by r.request_id
order by r.at, r.request_id;

-- trained_until --
-- When a policy last learnt: of a version the end of what its run may see, of a bandit its last update; null if it never learns.
select case p.kind
    when 'model'
        then coalesce(
            case
                when r.split_no is null then r.as_of
                else (select max(c.cut_at) from recsql.split_cut as c where c.split_no = r.split_no)
            end,
            t.created_at
        )
    when 'bandit' then b.updated_at
end
from recsql.ranking_policy as p
left join recsql.model_version as v on v.version_no = p.version_no
left join recsql.model_version as t on t.version_no = coalesce(v.reused_no, v.version_no)
left join recsql.run as r on r.run_no = t.run_no
left join recsql.bandit as b on b.ranking_policy_no = p.ranking_policy_no
where p.ranking_policy_no = %(policy_no)s::integer;

-- bandit_request_scores --
-- What a bandit expects of the pools of some requests: place of the request in the list, draw, item and score.
select array_position(%(request_ids)s::uuid [], s.request_id), s.draw, s.item_no, s.score
from recsql.bandit_request_score(%(policy_no)s::integer, %(request_ids)s::uuid []) as s;

-- reordered_requests --
-- Which of some requests had their pool ordered by more than a ranking policy: their places in the list, from 1.
select n.place
from unnest(%(request_ids)s::uuid []) with ordinality as n (request_id, place)
inner join recsql.request as r on r.request_id = n.request_id
where recsql.is_reordered(r.controls)
order by n.place;

-- replayed --
-- In which order the controls of a request would have shown its pool, had it come in this one.
select recsql.replayed(%(request_id)s::uuid, %(item_nos)s::integer []);

-- histories_before --
-- Of each request, in the order given, the positive items of its user as they were just before it, the oldest first: items, weights faded to
-- that moment, kinds of the strongest event, and seconds.
select
    coalesce(array_agg(p.item_no order by p.at, p.event_no) filter (where p.item_no is not null), '{}'),
    coalesce(array_agg(p.weight order by p.at, p.event_no) filter (where p.item_no is not null), '{}'),
    coalesce(array_agg(p.kind_no order by p.at, p.event_no) filter (where p.item_no is not null), '{}'),
    coalesce(array_agg(extract(epoch from p.at)::bigint order by p.at, p.event_no) filter (where p.item_no is not null), '{}')
from unnest(%(request_ids)s::uuid []) with ordinality as n (request_id, place)
inner join recsql.request as r on r.request_id = n.request_id
left join lateral (
    select
        d.item_no,
        max(d.at) as at,
        max(d.event_no) as event_no,
        sum(d.weight * recsql.faded(r.at - d.at, d.half_life)) as weight,
        (array_agg(d.kind_no order by d.weight desc, d.kind_no desc))[1]::integer as kind_no
    from (
        select
            e.item_no, e.at, e.event_no, e.kind_no, k.weight, k.half_life,
            max(e.at) over (partition by e.item_no) as newest_at
        from recsql.event as e
        inner join recsql.event_kind as k on k.kind_no = e.kind_no
        where e.user_no = r.user_no and e.at < r.at
    ) as d
    group by d.item_no
    having sum(d.weight * recsql.faded(d.newest_at - d.at, d.half_life)) > 0
) as p on true
group by n.place
order by n.place;

-- lock_policy --
-- Have evaluations of a policy wait for each other until the transaction ends.
select pg_advisory_xact_lock(hashtextextended('recsql.policy_propensity ' || %(policy_no)s::integer, 0));

-- clear_policy_propensity --
-- Forget what a policy would have done.
delete from recsql.policy_propensity where ranking_policy_no = %(policy_no)s;

-- copy_policy_propensity --
-- What a policy would have done.
copy recsql.policy_propensity (ranking_policy_no, request_id, position, propensity, conditional, predicted, expected) from stdin;

-- add_policy_evaluation --
-- Keep an off-policy evaluation; its number.
insert into recsql.policy_evaluation (
    ranking_policy_no, slot, logging_policy, from_at, until_at, estimator, value, lo, hi, logging_value, effective_size, n_requests,
    verdict, reason, estimates
)
values (
    %(policy_no)s, %(slot)s, %(logging_policy)s, %(from_at)s, %(until_at)s, %(estimator)s, %(value)s, %(lo)s, %(hi)s,
    %(logging_value)s, %(effective_size)s, %(n_requests)s, %(verdict)s, %(reason)s, %(estimates)s
)
returning evaluation_no;

-- served_policy --
-- What orders the lists of a slot: the policy's name, null for none; no row where nothing is released.
select p.policy
from recsql.release as r
left join recsql.ranking_policy as p on p.ranking_policy_no = r.ranking_policy_no
where r.slot = %(slot)s
for update of r;

-- serve_policy --
-- Have a policy, or none, order the lists of a slot.
update recsql.release set ranking_policy_no = %(policy_no)s where slot = %(slot)s;

-- add_policy_decision --
-- Keep what was decided about a policy; the decision's number.
insert into recsql.policy_decision (slot, ranking_policy_no, policy, evaluation_no, action, reason)
values (%(slot)s, %(policy_no)s, %(policy)s, %(evaluation_no)s, %(action)s, %(reason)s)
returning decision_no;

-- report_run --
-- What is reported: a run, or the newest complete one on the test part.
select
    r.run_no, s.protocol, s.part, r.state, r.as_of, r.started_at, s.n_users, s.n_items, s.n_events, p.policy, p.kind,
    coalesce(p.weights, '{}') as weights,
    (
        select coalesce(jsonb_object_agg(m.model, v.version_no), '{}')
        from recsql.model_version as v inner join recsql.model as m on m.model_no = v.model_no
        where v.run_no = r.run_no
    ) as versions,
    r.config ->> 'seed' as seed
from recsql.run as r
left join recsql.split as s on s.split_no = r.split_no
left join recsql.fusion_policy as p on p.policy_no = r.policy_no
where
    r.run_no = %(run_no)s::integer
    or (%(run_no)s::integer is null and s.part = 'test' and r.state = 'complete')
order by r.run_no desc
limit 1;

-- report_recall --
-- Of each source: the share of what was relevant that is among its candidates, and the share that no other source has.
select
    s.source,
    count(*) filter (where s.source = any(f.sources))::double precision / count(*) as recall,
    count(*) filter (where f.sources = array[s.source])::double precision / count(*) as alone
from recsql.relevant_event(%(run_no)s::integer) as r
cross join lateral (
    select coalesce(array_agg(o.source), '{}') as sources
    from recsql.candidate as c
    inner join recsql.source as o on o.source_no = c.source_no
    where c.run_no = %(run_no)s::integer and c.user_no = r.user_no and r.item_no = any(c.item_nos)
) as f
cross join (
    select o.source
    from recsql.source as o
    where exists (select from recsql.candidate as c where c.run_no = %(run_no)s::integer and c.source_no = o.source_no)
) as s
group by s.source
order by recall desc, s.source;

-- report_overlap --
-- Which share of the first 50 candidates of one source are among the first 50 of another, for a sample of users.
with sample as (
    select u.user_no
    from (select distinct c.user_no from recsql.candidate as c where c.run_no = %(run_no)s::integer) as u
    order by md5(u.user_no::text)
    limit %(n_users)s
),

listed as (
    select c.user_no, o.source, unnest(c.item_nos[:50]) as item_no
    from sample as u
    inner join recsql.candidate as c on c.run_no = %(run_no)s::integer and c.user_no = u.user_no
    inner join recsql.source as o on o.source_no = c.source_no
),

total as (
    select l.source, count(*) as n_items from listed as l group by l.source
)

select a.source, b.source as other, count(*)::double precision / max(t.n_items) as share
from listed as a
inner join listed as b on b.user_no = a.user_no and b.item_no = a.item_no
inner join total as t on t.source = a.source
group by a.source, b.source
order by a.source, b.source;

-- report_relevant --
-- A sample of the users for whom something was relevant, by number.
select u.user_no, u.n_relevant
from (
    select r.user_no, count(*) as n_relevant
    from recsql.relevant_event(%(run_no)s::integer) as r
    group by r.user_no
    order by md5(r.user_no::text)
    limit %(n_users)s
) as u
order by u.user_no;

-- report_parts --
-- What each source says of each candidate of the same users.
with relevant as materialized (
    select r.user_no, r.item_no from recsql.relevant_event(%(run_no)s::integer) as r
),

sample as materialized (
    select r.user_no from relevant as r group by r.user_no order by md5(r.user_no::text) limit %(n_users)s
)

select p.user_no, p.item_no, o.source, p.part, r.item_no is not null as is_hit
from sample as u
cross join lateral recsql.source_part(%(run_no)s::integer, u.user_no, u.user_no) as p
inner join recsql.source as o on o.source_no = p.source_no
left join relevant as r on r.user_no = p.user_no and r.item_no = p.item_no;

-- report_catalogue --
-- Items of a run's catalogue.
select count(*) from recsql.catalogue(%(run_no)s::integer);

-- report_exposure --
-- Items that a method shows to anybody: in how many lists of ten, and how high up in the best of 50.
select
    s.item_no,
    count(*) filter (where s.position <= 10) as places,
    min(s.position) as best
from recsql.listed(%(run_no)s::integer, %(method)s, 50) as s
group by s.item_no
order by s.item_no;

-- report_users --
-- Some users for whom something was relevant, by a hash of their numbers.
select u.user_no, a.user_id
from (select distinct r.user_no from recsql.relevant_event(%(run_no)s::integer) as r) as u
inner join recsql.app_user as a on a.user_no = u.user_no
where exists (
    select from recsql.recommendation as r where r.run_no = %(run_no)s::integer and r.user_no = u.user_no
)
order by md5(u.user_no::text)
limit %(n_examples)s;

-- report_history --
-- What a run knows that a user had last.
select m.item_id, coalesce(m.title, m.item_id) as title
from recsql.interaction as i
inner join recsql.item as m on m.item_no = i.item_no
where i.run_no = %(run_no)s::integer and i.user_no = %(user_no)s::integer and i.step < 8
order by i.step;

-- report_list --
-- The first ten that a run recommends to a user, with what each source adds.
select
    r.rank, m.item_id, coalesce(m.title, m.item_id) as title, r.score::double precision as score, r.parts,
    e.item_no is not null as is_hit
from recsql.recommendation as r
inner join recsql.item as m on m.item_no = r.item_no
left join recsql.relevant_event(%(run_no)s::integer) as e on e.user_no = r.user_no and e.item_no = r.item_no
where r.run_no = %(run_no)s::integer and r.user_no = %(user_no)s::integer and r.rank <= 10
order by r.rank;

-- experiments --
-- All experiments with their variants, the control first, and how many users were served by them.
select
    e.experiment,
    e.slot,
    e.state,
    e.metric,
    e.traffic,
    e.alpha,
    e.planned_users,
    e.started_at,
    e.ended_at,
    (select count(*) from recsql.experiment_user as u where u.experiment_no = e.experiment_no) as n_users,
    coalesce(
        (
            select jsonb_agg(
                jsonb_build_object(
                    'variant', v.variant, 'is_control', v.is_control, 'weight', v.weight, 'slot', v.slot, 'controls', v.controls,
                    'add_rules', v.add_rules, 'drop_rules', v.drop_rules
                )
                order by v.is_control desc, v.variant_no
            )
            from recsql.variant as v
            where v.experiment_no = e.experiment_no
        ),
        '[]'
    ) as variants
from recsql.experiment as e
order by e.experiment_no;

-- add_experiment --
-- A new experiment, unless there is one of this name.
insert into recsql.experiment (experiment, slot, metric, traffic, alpha, planned_users, lookback)
values (
    %(experiment)s, %(slot)s, %(metric)s, %(traffic)s::double precision, %(alpha)s::double precision, %(planned_users)s::integer,
    make_interval(days => %(lookback_days)s::integer)
)
on conflict (experiment) do nothing
returning experiment, slot, state, metric, traffic, alpha, planned_users;

-- add_variant --
-- A new variant of an experiment, unless it has one of this name; no row either where there is no such experiment.
insert into recsql.variant (experiment_no, variant, weight, is_control, slot, controls, add_rules, drop_rules)
select
    e.experiment_no, %(variant)s::text, %(weight)s::double precision, %(is_control)s::boolean, %(slot)s::text, %(controls)s::jsonb,
    %(add_rules)s::text [], %(drop_rules)s::text []
from recsql.experiment as e
where e.experiment = %(experiment)s
on conflict (experiment_no, variant) do nothing
returning variant, weight, is_control, slot, controls, add_rules, drop_rules;

-- experiment_named --
-- Whether there is an experiment of a name: its state.
select e.experiment, e.state from recsql.experiment as e where e.experiment = %(experiment)s;

-- set_experiment_state --
-- Start or stop an experiment; the trigger experiment_fixed sees whether that can be.
update recsql.experiment as e
set state = %(state)s
where e.experiment = %(experiment)s
returning e.experiment, e.slot, e.state, e.started_at, e.ended_at;

-- experiment_result --
-- What an experiment says.
select r.* from recsql_api.experiment_result as r where r.experiment = %(experiment)s;

-- experiment_daily --
-- What an experiment said day by day.
select r.* from recsql_api.experiment_daily as r where r.experiment = %(experiment)s order by r.day, r.is_control desc, r.variant;

-- rules --
-- Rules of the owner, or the one that is named.
select o.*
from recsql_api.rule_overview as o
where %(rule)s::text is null or o.rule = %(rule)s
order by o.state, o.kind, o.priority desc, o.rule;

-- add_rule --
-- Add a rule, a draft unless it is to be active.
insert into recsql.rule (
    rule, kind, condition, segment, factor, half_life, attribute, max_items, share, item_no, position, slot, priority, starts_at, ends_at,
    state
)
values (
    %(rule)s, %(kind)s, %(condition)s, %(segment)s, %(factor)s, %(half_life)s::interval, %(attribute)s, %(max_items)s, %(share)s,
    (select i.item_no from recsql.item as i where i.item_id = %(item)s), %(position)s, %(slot)s, %(priority)s, %(starts_at)s::timestamptz,
    %(ends_at)s::timestamptz, %(state)s
)
on conflict (rule) do nothing
returning rule;

-- item_named --
-- Whether there is an item.
select i.item_no from recsql.item as i where i.item_id = %(item_id)s;

-- set_rule_state --
-- Have a rule obeyed, or not any more.
update recsql.rule as r set state = %(state)s where r.rule = %(rule)s
returning r.rule, r.state;

-- open_rule --
-- Have a rule's period begin now and not end, as it will be within it.
update recsql.rule as r set starts_at = null, ends_at = null where r.rule = %(rule)s;

-- drop_rule --
-- Remove a rule.
delete from recsql.rule as r where r.rule = %(rule)s
returning r.rule;

-- rule_users --
-- Of those for whom a rule's slot has published lists, how many there are, how many the rule is for, and some of these, at random but
-- always the same.
select
    count(*) as n_published,
    count(*) filter (where u.is_meant) as n_meant,
    coalesce((array_agg(u.user_id order by md5(u.user_id)) filter (where u.is_meant)) [:%(n_users)s::integer], '{}') as user_ids
from (
    select
        a.user_id,
        r.segment_path is null
        or jsonb_path_match(recsql.user_document(a.user_id), r.segment_path, r.segment_vars) is true as is_meant
    from recsql.rule as r
    inner join recsql.release as l on l.slot = coalesce(r.slot, 'default')
    inner join recsql.app_user as a on exists (
        select from recsql.recommendation as p where p.run_no = l.run_no and p.user_no = a.user_no
    )
    where r.rule = %(rule)s
) as u;

-- rule_lists --
-- The best ten of some users in a slot: the items of each, in order.
select u.user_id, coalesce(array_agg(l.item_id order by l.rank) filter (where l.rank is not null), '{}') as item_ids
from unnest(%(user_ids)s::text []) as u (user_id)
left join lateral recsql_api.recommend(u.user_id, 10, p_slot => coalesce(%(slot)s, 'default')) as l on true
group by u.user_id;

-- rule_matches --
-- Which of some items a rule is about.
select coalesce(array_agg(i.item_id), '{}') as item_ids
from recsql.rule as r
inner join recsql.item as i on i.item_id = any(%(item_ids)s::text [])
where r.rule = %(rule)s and i.item_no = coalesce(r.item_no, i.item_no) and recsql.is_match(i, r.item_path, r.item_vars);

-- controls --
-- What the lists of each slot are ordered by beside scores.
select * from recsql.control order by slot;

-- set_control --
-- Have the lists of a slot ordered by controls; those that are not named stay.
select c.* from recsql.set_control(%(slot)s, %(controls)s::jsonb) as c;
