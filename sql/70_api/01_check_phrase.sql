-- recsql.check_phrase
create function recsql.check_phrase()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_unknown text := (
        select string_agg(distinct m.found[1], ', ')
        from regexp_matches(new.template, '\{[^{}]*\}', 'g') as m (found)
        where m.found[1] not in ('{title}', '{reason}', '{name}', '{value}')
    );
begin
    if v_unknown is not null then
        raise exception 'phrase % of language % has %', new.key, new.language, v_unknown
            using errcode = 'RS002', hint = 'What is put in is {title}, {reason}, {name} and {value}.';
    end if;
    return new;
end
$$;

comment on function recsql.check_phrase() is
'Refuses a phrase with a placeholder for which nothing is put in, before users read it.';
