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
where not t.tgisinternal and c.relnamespace = to_regnamespace('recsql');

-- complete_load --
-- An earlier load of the same content.
select load_no, n_rows, n_events, n_items, n_users, n_present, n_rejected
from recsql.load where state = 'complete' and fingerprint = %(fingerprint)s;

-- begin_load --
-- Begin a load.
insert into recsql.load (source, fingerprint) values (%(source)s, %(fingerprint)s) returning load_no;

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
