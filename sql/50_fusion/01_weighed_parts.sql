-- recsql.weighed_parts: never null where p_parts is not empty.
create function recsql.weighed_parts(
    p_parts jsonb, p_factor double precision, p_others jsonb default null, p_other_factor double precision default 0
)
returns jsonb
language sql
immutable
begin atomic
    select jsonb_object_agg(w.component, round(w.contribution::numeric, 9))
    from (
        select p.component, sum(p.contribution) as contribution
        from (
            select a.key as component, a.value::double precision * p_factor as contribution
            from jsonb_each_text(p_parts) as a
            union all
            select b.key, b.value::double precision * p_other_factor from jsonb_each_text(p_others) as b
        ) as p
        group by p.component
    ) as w;
end;

comment on function recsql.weighed_parts(jsonb, double precision, jsonb, double precision) is
'What components add to a score, times a factor, plus those of another score times another factor.';
