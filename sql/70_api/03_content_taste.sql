-- recsql.content_taste: null where nothing that the user had has a vector.
create function recsql.content_taste(
    p_known_nos integer [], p_known_weights double precision [], p_new_nos integer [], p_new_weights double precision []
)
returns vector
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
begin
    return (
        select sum(e.embedding * array_fill(h.weight::real, array[h.dim])::vector)
        from (
            select c.space_no, c.dim, n.item_no, n.weight * step_weight(o.history_decay, o.history_rate, n.step) as weight
            from content_space as c
            inner join source as o on o.source = 'content'
            cross join lateral (
                select l.item_no, l.weight, row_number() over (order by l.part, l.place)::integer - 1 as step
                from (
                    select 1 as part, a.item_no, a.weight, a.place
                    from unnest(p_new_nos, p_new_weights) with ordinality as a (item_no, weight, place)
                    where a.weight > 0
                    union all
                    select 2 as part, a.item_no, a.weight, a.place
                    from unnest(p_known_nos, p_known_weights) with ordinality as a (item_no, weight, place)
                    where a.item_no <> all (p_new_nos)
                ) as l
            ) as n
            where n.step < o.history_length
        ) as h
        inner join item_embedding as e on e.space_no = h.space_no and e.item_no = h.item_no
    );
end
$$;

comment on function recsql.content_taste(integer [], double precision [], integer [], double precision []) is
'What a user has chosen of late, as a vector of the content space: the sum of the items'' vectors, by weight and recency as source '
'content reads them. p_known_nos, p_new_nos: what the run knows of the user and what came since, the newest first.';
