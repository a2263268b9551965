-- recsql.list_metric: one row per user for whom the method ranked anything.
create function recsql.list_metric(p_run_no integer, p_method text, p_k integer default 10)
returns table (
    user_no integer, novelty double precision, popularity_share double precision, diversity double precision
)
language sql
stable
set enable_nestloop = off
begin atomic
    with known as (
        select
            c.item_no,
            coalesce(p.n_users, 0) as n_users,
            row_number() over (order by coalesce(p.n_users, 0) desc, c.item_no) <= 0.2 * count(*) over () as is_head
        from recsql.catalogue(p_run_no) as c
        left join recsql.item_popularity as p on p.run_no = p_run_no and p.item_no = c.item_no
    ),

    total as (
        select count(distinct i.user_no) as n_users from recsql.interaction as i where i.run_no = p_run_no
    ),

    shown as materialized (
        select p.user_no, p.item_no, k.n_users, k.is_head, e.embedding
        from recsql.listed(p_run_no, p_method, p_k) as p
        inner join known as k on k.item_no = p.item_no
        left join recsql.item_embedding as e
            on e.space_no = (select s.space_no from recsql.run_space(p_run_no) as s) and e.item_no = p.item_no
    ),

    pairs as (
        select a.user_no, avg(a.embedding <=> b.embedding) as diversity
        from shown as a
        inner join shown as b on b.user_no = a.user_no and b.item_no > a.item_no
        group by a.user_no
    )

    select
        s.user_no,
        avg(-log(2.0, greatest(s.n_users, 1)::numeric / greatest(t.n_users, 1)))::double precision as novelty,
        avg(s.is_head::integer)::double precision as popularity_share,
        max(p.diversity) as diversity
    from shown as s
    cross join total as t
    left join pairs as p on p.user_no = s.user_no
    group by s.user_no;
end;

comment on function recsql.list_metric(integer, text, integer) is
'What a method''s first k are like for each user. novelty: mean of -log2 of the share of users who had the item, in bits; '
'popularity_share: share of the list that is among the fifth of the catalogue with most users; diversity: mean cosine distance '
'between the contents of two items of the list, 0 to 2, null without content vectors.';
