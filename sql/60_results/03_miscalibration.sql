-- recsql.miscalibration: one row per user for whom the method ranked anything and whose history has categories.
create function recsql.miscalibration(p_run_no integer, p_method text, p_key text, p_k integer default 10)
returns table (user_no integer, divergence double precision)
language sql
stable
set enable_nestloop = off
begin atomic
    with shown as (
        select p.user_no, g.category, 1.0::double precision / jsonb_array_length(i.categories) as part
        from recsql.listed(p_run_no, p_method, p_k) as p
        inner join recsql.item as o on o.item_no = p.item_no
        cross join lateral (select recsql.item_categories(o, p_key) as categories) as i
        cross join lateral jsonb_array_elements_text(i.categories) as g (category)
    ),

    list as (
        select s.user_no, s.category, sum(s.part) / sum(sum(s.part)) over (partition by s.user_no) as share
        from shown as s
        group by s.user_no, s.category
    )

    select h.user_no, sum(h.share * ln(h.share / (0.99 * coalesce(l.share, 0) + 0.01 * h.share)))
    from recsql.category_share(p_run_no, 0, 2147483647, p_key) as h
    left join list as l on l.user_no = h.user_no and l.category = h.category
    where h.user_no in (select s.user_no from shown as s)
    group by h.user_no;
end;

comment on function recsql.miscalibration(integer, text, text, integer) is
'How far the categories of a method''s first k are from the user''s own history (category_share), for each user: the Kullback-Leibler divergence '
'KL(history || 0.99 × list + 0.01 × history) in nats, Steck 2018; 0 where the shares are the same. p_key: as of item_categories.';
