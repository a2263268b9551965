-- recsql.category_share: one row per user and category.
create function recsql.category_share(p_run_no integer, p_first_user_no integer, p_last_user_no integer, p_key text)
returns table (user_no integer, category text, share double precision)
language sql
stable
begin atomic
    select s.user_no, s.category, sum(s.weight) / sum(sum(s.weight)) over (partition by s.user_no)
    from (
        select h.user_no, c.category, h.weight::double precision / jsonb_array_length(i.categories) as weight
        from recsql.interaction as h
        inner join recsql.item as o on o.item_no = h.item_no
        cross join lateral (select recsql.item_categories(o, p_key) as categories) as i
        cross join lateral jsonb_array_elements_text(i.categories) as c (category)
        where h.run_no = p_run_no and h.user_no between p_first_user_no and p_last_user_no and h.step < 100 and h.weight > 0
    ) as s
    group by s.user_no, s.category;
end;

comment on function recsql.category_share(integer, integer, integer, text) is
'Which share each category has in the histories of the users in a range of user_no, as a run knows them: their newest 100 positive items, each '
'with its weight, which its categories share equally. The shares of a user sum to 1.';
