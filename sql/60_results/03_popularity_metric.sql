-- recsql.popularity_metric: one row per user for whom the method ranked anything.
create function recsql.popularity_metric(p_run_no integer, p_method text, p_k integer default 10)
returns table (
    user_no integer, list_popularity double precision, tail_share double precision, profile_popularity double precision
)
language sql
stable
set enable_nestloop = off
begin atomic
    with band as materialized (
        select b.item_no, b.n_users, b.band from recsql.popularity_band(p_run_no) as b
    ),

    list as (
        select p.user_no, avg(b.n_users) as popularity, avg((b.band = 'tail')::integer) as tail_share
        from recsql.listed(p_run_no, p_method, p_k) as p
        inner join band as b on b.item_no = p.item_no
        group by p.user_no
    ),

    profile as (
        select i.user_no, avg(b.n_users) as popularity
        from recsql.interaction as i
        inner join band as b on b.item_no = i.item_no
        where i.run_no = p_run_no and i.step is not null
        group by i.user_no
    )

    select l.user_no, l.popularity::double precision, l.tail_share::double precision, f.popularity::double precision
    from list as l
    left join profile as f on f.user_no = l.user_no;
end;

comment on function recsql.popularity_metric(integer, text, integer) is
'How popular a method''s first k are for each user. list_popularity: mean number of users who had the item, whose mean over users is the average '
'recommendation popularity (ARP); tail_share: share of the list that is of the tail (popularity_band), whose mean is APLT; profile_popularity: '
'the same as list_popularity of what the user had, null for who had nothing.';
