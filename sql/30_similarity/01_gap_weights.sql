-- recsql.gap_weights: from the item that is p_window steps newer to the one that is p_window steps older.
create function recsql.gap_weights(p_window integer, p_reverse real)
returns integer []
language sql
immutable
begin atomic
    select array_agg(
        case
            when g.gap < 0 then round(16777216 / -g.gap::numeric)
            when g.gap > 0 then round(16777216 * p_reverse::numeric / g.gap)
            else 0
        end::integer order by g.gap
    )
    from generate_series(-p_window, p_window) as g (gap);
end;

comment on function recsql.gap_weights(integer, real) is
'How much two items of one user speak for the step from the first to the second, in 2^-24, by how many steps the second is older: '
'1 / steps where it came after, p_reverse / steps where it came before. Integers, so that sums do not depend on their order.';
