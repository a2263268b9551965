-- recsql.charged: effective scores, one per item, in their order.
create function recsql.charged(p_scores double precision [], p_prices double precision [], p_strength double precision)
returns double precision []
language sql
immutable
begin atomic
    with placed as (
        select s.place, s.score, s.price, max(s.score) over () as highest, nullif(stddev_pop(s.score) over (), 0) as deviation
        from unnest(p_scores, p_prices) with ordinality as s (score, price, place)
    ),

    weighted as (
        select p.place, p.score, p.price, coalesce(exp((p.score - p.highest) / (1.5 * p.deviation)), 1) as weight
        from placed as p
    )

    select recsql.redistributed(
        p_scores,
        array(
            select w.place::integer
            from (
                select w.place, w.score, (1 - p_strength) * w.weight / sum(w.weight) over () - w.price * p_strength as worth
                from weighted as w
            ) as w
            order by w.worth desc, w.score desc, w.place
        )
    );
end;

comment on function recsql.charged(double precision [], double precision [], double precision) is
'Effective scores that order by (1 - p_strength) × chance - p_strength × price. chance: softmax of the scores over 1.5 standard deviations '
'of the list, so that of two items which are as dear, what is surely wanted stays and what is hardly better than the next gives way.';
