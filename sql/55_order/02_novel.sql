-- recsql.novel: effective scores, one per item, in their order.
create function recsql.novel(p_run_no integer, p_item_nos integer [], p_scores double precision [], p_strength double precision)
returns double precision []
language sql
stable
begin atomic
    with known as (
        select s.place, s.score, ln(greatest(coalesce(p.n_users, 1), 1)) as popularity
        from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
        left join recsql.item_popularity as p on p.run_no = p_run_no and p.item_no = s.item_no
    ),

    -- From 0 to 1 within the list: the number of all users, by which information is counted, adds the same to each.
    scaled as (
        select
            k.place,
            coalesce((k.score - min(k.score) over ()) / nullif(max(k.score) over () - min(k.score) over (), 0), 0) as relevance,
            coalesce(
                (max(k.popularity) over () - k.popularity)
                / nullif(max(k.popularity) over () - min(k.popularity) over (), 0),
                0
            ) as novelty
        from known as k
    )

    select recsql.redistributed(
        p_scores,
        array(
            select s.place::integer
            from scaled as s
            order by (1 - p_strength) * s.relevance + case when p_strength < 1e-9 then 0 else p_strength end * s.novelty desc, s.relevance desc, s.place
        )
    );
end;

comment on function recsql.novel(integer, integer [], double precision [], double precision) is
'Effective scores that prefer what few users had: ordered by (1 - p_strength) × score + p_strength × self-information (-log of the share of '
'users who had the item by p_run_no), both scaled to 0 to 1 within the list. p_strength: from 0, as it was, to 1, the rarest first.';
