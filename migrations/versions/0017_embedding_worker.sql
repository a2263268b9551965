-- What is to be embedded is queued where it changes, claimed by workers, and kept apart where it failed.

create table recsql.embedding_task (
    space_no integer not null references recsql.embedding_space on delete cascade,
    item_no integer not null references recsql.item on delete cascade,
    content_hash bytea not null,
    provider text,
    attempts smallint not null default 0,
    error text,
    not_before timestamptz,
    claimed_by integer,
    queued_at timestamptz not null default now(),
    primary key (space_no, item_no)
);
comment on table recsql.embedding_task is
'One row per item and space whose vector is to be computed. content_hash: sha256 of the content that was seen last; provider: the '
'host that the content is fetched from, null where it is in the database; attempts, error, not_before: of fetches that failed and '
'are tried again; claimed_by: the number of a worker, which counts only as long as that worker''s session is there.';
create index embedding_task_item_idx on recsql.embedding_task (item_no);

-- What has come of late is recommended by its content before a run knows it.
create index item_created_idx on recsql.item (created_at);
alter table recsql.run add column newcomer_nos integer [] not null default '{}';
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads; policy_no: how '
'it was fused; state pruned: its rows are gone, its figures are kept; newcomer_nos: new items that nobody had had.';

create sequence recsql.embedding_worker_no as integer cycle;
comment on sequence recsql.embedding_worker_no is 'Numbers of embedding workers, one for each session.';

create table recsql.embedding_provider (
    provider text primary key,
    n_failures smallint not null,
    not_before timestamptz not null,
    error text not null
);
comment on table recsql.embedding_provider is
'One row per host that failed to answer and has not answered since: nothing is fetched from it before not_before.';

alter table recsql.embedding_space drop constraint embedding_space_modality_check;
alter table recsql.embedding_space add constraint embedding_space_modality_check
check (modality in ('text', 'image', 'audio', 'unified'));
alter table recsql.embedding_space add column version_no integer references recsql.model_version;
alter table recsql.embedding_space add column source_nos integer [];
alter table recsql.embedding_space add constraint embedding_space_unified_check
check ((modality = 'unified') = (version_no is not null) and (modality = 'unified') = (source_nos is not null));
-- A release before this one let a modality have several active spaces, of which the first was used.
update recsql.embedding_space as s set status = 'building'
where
    s.status = 'active'
    and exists (
        select from recsql.embedding_space as o
        where o.modality = s.modality and o.status = 'active' and o.space_no < s.space_no
    );
create unique index embedding_space_active_idx on recsql.embedding_space (modality) where status = 'active';
comment on table recsql.embedding_space is
'One row per space of vectors: a modality seen by one revision of one model. Vectors of two spaces never meet. status: active, one '
'for each modality, is what is served; building is embedded beside it; retired is not embedded any more. version_no, source_nos: of '
'modality unified, the model version that projects the vectors of the spaces source_nos into this one.';
