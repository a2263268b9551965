-- Searches of vectors that were done again exactly, to see what they miss.

create table recsql.vector_search_audit (
    audit_no bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    vector_set text not null,
    label text not null,
    domain text,
    filter jsonb not null default '{}',
    n integer not null check (n > 0),
    strategy text not null check (strategy in ('exact', 'index')),
    is_completed boolean not null,
    n_estimated bigint not null,
    n_matching bigint not null,
    n_found integer not null,
    recall real check (recall between 0 and 1),
    seconds double precision not null,
    exact_seconds double precision not null
);
comment on table recsql.vector_search_audit is
'One row per search that was replayed beside the exact answer. strategy: what vector_search_plan chose; is_completed: the index '
'found too few, so all were compared; n_estimated, n_matching: items that match, as planned and as counted; recall: share of the '
'exact answer that was found, null where that is empty.';
create index vector_search_audit_at_idx on recsql.vector_search_audit (at);
