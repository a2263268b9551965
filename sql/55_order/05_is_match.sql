-- recsql.is_match: never null.
create function recsql.is_match(p_item recsql.item, p_path jsonpath, p_vars jsonb)
returns boolean
language sql
stable
begin atomic
    select p_path is null or coalesce(jsonb_path_match(recsql.item_document(p_item), p_path, p_vars), false);
end;

comment on function recsql.is_match(recsql.item, jsonpath, jsonb) is
'Whether an item fulfils a compiled condition; all do where there is none.';
