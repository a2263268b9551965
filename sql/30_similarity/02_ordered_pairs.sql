-- recsql.ordered_pairs: text of a query, for write_similarity.
create function recsql.ordered_pairs(p_window integer, p_reverse real, p_sums text)
returns text
language sql
immutable
begin atomic
    select recsql.counted_pairs(
        format('h.step + 1 - %1$s : h.step + 1 + %1$s', p_window),
        -- Cut at the newest item, as the range is.
        format(
            'unnest((%L::integer[])[greatest(%s - h.step, 1) : %s]) as near',
            recsql.gap_weights(p_window, p_reverse), p_window + 1, 2 * p_window + 1
        ),
        p_sums
    );
end;

comment on function recsql.ordered_pairs(integer, real, text) is
'counted_pairs within p_window steps, with x.near: how much the pair speaks for the step from the item to the neighbour '
'(gap_weights).';
