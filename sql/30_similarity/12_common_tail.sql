-- recsql.common_tail: 0 to the length of the shorter.
create function recsql.common_tail(p_one integer [], p_other integer [])
returns integer
language sql
immutable
begin atomic
    select coalesce(min(n.back), least(cardinality(p_one), cardinality(p_other)))::integer
    from generate_series(0, least(cardinality(p_one), cardinality(p_other)) - 1) as n (back)
    where p_one[cardinality(p_one) - n.back] <> p_other[cardinality(p_other) - n.back];
end;

comment on function recsql.common_tail(integer [], integer []) is 'How many elements at the end of two arrays are the same.';
