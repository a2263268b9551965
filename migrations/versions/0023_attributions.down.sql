update recsql.source as s
set
    reason = coalesce(
        s.reason,
        (select btrim(replace(p.template, '{title}', '')) from recsql.phrase as p where p.language = 'en' and p.key = s.source),
        s.source
    );
alter table recsql.source alter column reason set not null;
comment on column recsql.source.reason is null;
drop table recsql.phrase, recsql.attribution;
