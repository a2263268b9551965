-- recsql.check_category_key: nothing.
create function recsql.check_category_key(p_key text)
returns void
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
begin
    if p_key is null then
        raise exception 'a key of categories is needed'
            using errcode = 'RS002', hint = 'It is domain, tags, or the name of an attribute of items, as "genres".';
    end if;
    if not exists (select from item as i where item_categories(i, p_key) <> '[]') then
        raise exception 'no item has categories by %', left(p_key, 100)
            using errcode = 'RS001', hint = 'A key is domain, tags, or the name of an attribute of items: names are case-sensitive.';
    end if;
end
$$;

comment on function recsql.check_category_key(text) is
'Sees that items have categories by a key. It reads items until one has. Errors: RS001 none has, RS002 there is no key.';
