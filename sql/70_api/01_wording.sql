-- recsql.wording: one row.
create function recsql.wording(p_language text, p_key text)
returns table (template text)
language sql
stable
begin atomic
    select coalesce(
        (
            select p.template
            from recsql.phrase as p
            where p.language in (p_language, split_part(p_language, '-', 1), 'en') and p.key = p_key
            order by p.language = p_language desc, p.language = 'en'
            limit 1
        ),
        (
            select s.reason
                || case when s.kind in ('similarity', 'vector') and s.history_length is not null then ' {title}' else '' end
            from recsql.source as s
            where s.source = p_key
        )
    );
end;

comment on function recsql.wording(text, text) is
'The template of a clause: in the language, else without its region (de for de-AT), else in en, else what a source says of itself; null '
'where there is none. p_key: as of phrase.';
