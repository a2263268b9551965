-- recsql.item_group: one row per key, group and item of the run's catalogue that is in it.
create function recsql.item_group(p_run_no integer)
returns table (key text, item_group text, item_no integer, part double precision)
language sql
stable
-- A view calls it, which readers may ask.
security definer
set search_path = recsql, pg_temp
begin atomic
    select k.key, b.band, b.item_no, 1.0::double precision
    from recsql.fairness_key as k
    cross join recsql.popularity_band(p_run_no) as b
    where k.side = 'item' and k.key = 'popularity'
    union all
    select k.key, g.category, c.item_no, 1.0::double precision / jsonb_array_length(i.categories)
    from recsql.fairness_key as k
    cross join recsql.catalogue(p_run_no) as c
    inner join recsql.item as o on o.item_no = c.item_no
    cross join lateral (select recsql.item_categories(o, k.key) as categories) as i
    cross join lateral jsonb_array_elements_text(i.categories) as g (category)
    where k.side = 'item' and k.key <> 'popularity';
end;

comment on function recsql.item_group(integer) is
'Which items are in which groups, by the keys of recsql.fairness_key. part: of an item that is in several groups by one key, each has an equal part.';
