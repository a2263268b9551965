-- Which version's configuration runs use, with all that was promoted before, and which version a training went on from.

create table recsql.model_promotion (
    promotion_no integer generated always as identity primary key,
    model_no integer not null references recsql.model,
    version_no integer not null references recsql.model_version,
    promoted_at timestamptz not null default clock_timestamp(),
    promoted_by text not null default session_user,
    rolled_back_at timestamptz,
    rolled_back_by text,
    check ((rolled_back_at is null) = (rolled_back_by is null))
);
comment on table recsql.model_promotion is
'One row per promotion of a model version, in the order of promotion_no, none of which is ever removed. In force is the newest of a '
'model that was not rolled back; without one, the defaults are. promoted_by, rolled_back_by: role of the database.';
create index model_promotion_in_force_idx on recsql.model_promotion (model_no, promotion_no) where rolled_back_at is null;

alter table recsql.model_version
add column parent_version_no integer references recsql.model_version on delete set null;
comment on column recsql.model_version.parent_version_no is
'The version whose weights training went on from; null for a version that was trained from the beginning.';
