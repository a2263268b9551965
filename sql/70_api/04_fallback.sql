-- recsql.fallback: best first; ends only when the catalogue does, so callers must limit it.
create function recsql.fallback(p_run_no integer, p_policy_no integer)
returns table (item_no integer, score double precision, component text)
language sql
stable
begin atomic
    (
        select
            p.item_no,
            greatest((f.weights ->> 'trending')::double precision, 0.01) * p.trend / nullif(max(p.trend) over (), 0),
            'trending'
        from recsql.fusion_policy as f
        inner join recsql.item_popularity as p on p.run_no = p_run_no
        where f.policy_no = p_policy_no
        order by p.trend desc, p.item_no
    )
    union all
    (
        select i.item_no, 0, 'new'
        from recsql.item as i
        where not exists (
            select from recsql.item_popularity as p where p.run_no = p_run_no and p.item_no = i.item_no
        )
        order by i.published_at desc nulls last, i.item_no
    );
end;

comment on function recsql.fallback(integer, integer) is
'What is recommended to users of whom nothing is known: trending items on the scale that trends have in the policy, then items '
'without events, the newest first.';
