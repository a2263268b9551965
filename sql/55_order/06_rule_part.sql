-- recsql.rule_part: one row per place and rule that changes its score; unordered.
create function recsql.rule_part(p_rules recsql.rule [], p_item_nos integer [], p_scores double precision [])
returns table (place integer, component text, contribution double precision)
language sql
stable
begin atomic
    with matched as (
        select
            s.place,
            s.score,
            r.rule_no,
            r.rule,
            r.priority,
            -- Beyond a millionth nothing is told apart, and products stay within range.
            -- What is below 0 is raised by a smaller factor.
            power(
                case r.kind
                    when 'freshness'
                        then power(0.5::double precision, least(20, greatest(0, i.seconds / extract(epoch from r.half_life))))
                    else r.factor
                end,
                case when s.score < 0 then -1 else 1 end
            ) as factor
        from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
        -- Item by item: a join would read the whole catalogue for a few of its rows.
        cross join lateral (
            select m as item, extract(epoch from now() - coalesce(m.published_at, m.created_at)) as seconds
            from recsql.item as m
            where m.item_no = s.item_no
            offset 0
        ) as i
        inner join unnest(p_rules) as r
            on r.kind in ('boost', 'bury', 'freshness') and recsql.is_match(i.item, r.item_path, r.item_vars)
    )

    select
        m.place::integer,
        'rule ' || m.rule,
        (m.factor - 1) * m.score * coalesce(recsql.product(m.factor) over before, 1)
    from matched as m
    window before as (
        partition by m.place order by m.priority desc, m.rule_no rows between unbounded preceding and 1 preceding
    );
end;

comment on function recsql.rule_part(recsql.rule [], integer [], double precision []) is
'What rules of kinds boost, bury and freshness add to scores, in components rule NAME: each multiplies what those before it have made of the '
'score, and the differences add up. place: of the arguments, from 1. The age of what has no published_at is that of its row.';
