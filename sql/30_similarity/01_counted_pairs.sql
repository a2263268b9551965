-- recsql.counted_pairs: text of a query, for write_similarity.
create function recsql.counted_pairs(p_range text, p_columns text, p_sums text)
returns text
language sql
immutable
begin atomic
    select format(
        $sql$
            select x.neighbour_no, %3$s
            from (
                select unnest(s.item_nos[%1$s]) as neighbour_no, h.weight, h.rating, %2$s
                from recsql.interaction as h
                inner join recsql.user_sequence as s on s.run_no = $1 and s.user_no = h.user_no
                where
                    h.run_no = $1 and h.item_no = i.item_no and h.step < $3
                    and h.step < cardinality(s.item_nos)
            ) as x
            where x.neighbour_no <> i.item_no
            group by x.neighbour_no
        $sql$,
        p_range, p_columns, p_sums
    );
end;

comment on function recsql.counted_pairs(text, text, text) is
'What an item i has in common with others: of every user of the item (h: step, weight, rating) the part p_range of the sequence '
'is read (s: item_nos, weights, ratings), beside it the columns p_columns, and p_sums adds them up (x) by neighbour. Each '
'item''s neighbours are one small hash table, read and forgotten, so memory does not grow with the number of pairs.';
