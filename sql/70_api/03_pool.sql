-- recsql.pool: unordered.
create function recsql.pool(p_run_no integer, p_policy_no integer, p_user_no integer, p_context_item_no integer)
returns table (item_no integer, score double precision, parts jsonb)
language sql
stable
begin atomic
    select a.item_no, sum(a.score) as score, jsonb_object_agg(a.component, a.score) as parts
    from (
        select r.item_no, p.key as component, p.value::double precision as score
        from recsql.recommendation as r
        cross join lateral jsonb_each_text(r.parts) as p
        where r.run_no = p_run_no and r.user_no = p_user_no
        union all
        select l.item_no, 'live ' || l.source, sum(l.contribution)
        from recsql.live_part(p_run_no, p_policy_no, p_user_no) as l
        group by l.item_no, l.source
        union all
        select s.neighbour_no, 'context ' || o.source,
            (p.weights ->> o.source)::double precision * s.similarity / nullif(max(s.similarity) over by_source, 0)
        from recsql.fusion_policy as p
        inner join recsql.source as o on o.kind = 'similarity' and (p.weights ->> o.source)::double precision > 0
        inner join recsql.item_similarity as s
            on s.run_no = p_run_no and s.source_no = o.source_no and s.item_no = p_context_item_no
        where p.policy_no = p_policy_no
        window by_source as (partition by o.source_no)
    ) as a
    group by a.item_no;
end;

comment on function recsql.pool(integer, integer, integer, integer) is
'The items that can be recommended to a user now, with what each component adds to the score: what is published, what the '
'user did since (live …), and what is near to the item in view (context …). Filters come after it.';
