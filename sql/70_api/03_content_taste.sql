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
        select sum(e.embedding * array_fill(h.weight::real, array[c.dim])::vector)
        from content_space as c
        cross join taste_item(p_known_nos, p_known_weights, p_new_nos, p_new_weights) as h
        inner join item_embedding as e on e.space_no = c.space_no and e.item_no = h.item_no
    );
end
$$;

comment on function recsql.content_taste(integer [], double precision [], integer [], double precision []) is
'What a user has chosen of late, as a vector of the content space: the sum of the vectors of the items of taste_item, by its weights.';
