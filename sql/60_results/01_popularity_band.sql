-- recsql.popularity_band: one row per item of the run's catalogue.
create function recsql.popularity_band(p_run_no integer)
returns table (item_no integer, n_users integer, band text)
language sql
stable
-- A view calls it, which readers may ask.
security definer
set search_path = recsql, pg_temp
begin atomic
    select
        s.item_no,
        s.n_users,
        case when s.before < 0.2 * s.total then 'head' when s.before < 0.8 * s.total then 'mid' else 'tail' end
    from (
        select
            c.item_no,
            coalesce(p.n_users, 0) as n_users,
            sum(coalesce(p.n_users, 0)) over () as total,
            sum(coalesce(p.n_users, 0)) over (order by coalesce(p.n_users, 0) desc, c.item_no) - coalesce(p.n_users, 0) as before
        from recsql.catalogue(p_run_no) as c
        left join recsql.item_popularity as p on p.run_no = p_run_no and p.item_no = c.item_no
    ) as s;
end;

comment on function recsql.popularity_band(integer) is
'How many users each item of a run''s catalogue has had, and its band: the most popular items that account for a fifth of them are the head, the '
'least popular that account for the last fifth the tail, with what nobody had (Abdollahpouri et al. 2021).';
