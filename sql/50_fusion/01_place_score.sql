-- recsql.place_score
create function recsql.place_score(p_place bigint)
returns double precision
language sql
immutable
begin atomic
    select 10.0::double precision / (9 + p_place);
end;

comment on function recsql.place_score(bigint) is
'What the item at a place (from 1) of a list is worth whose order is all that is known: 10 / (9 + place), about as weighted scores fall, '
'so that what is added live finds its place.';
