-- recsql.live_part: one row per source, new item of the user, and item that it speaks for.
create function recsql.live_part(p_run_no integer, p_policy_no integer, p_user_no integer)
returns table (source text, evidence_no integer, item_no integer, contribution double precision)
language sql
stable
begin atomic
    with raw as (
        select
            o.source_no,
            o.source,
            (p.weights ->> o.source)::double precision as source_weight,
            e.item_no as evidence_no,
            s.neighbour_no as item_no,
            recsql.step_weight(o.history_decay, o.history_rate, e.step::integer) * e.weight * s.similarity as score
        from recsql.fusion_policy as p
        inner join recsql.source as o on o.kind = 'similarity' and (p.weights ->> o.source)::double precision > 0
        cross join recsql.new_event(p_run_no, p_user_no) as e
        inner join recsql.item_similarity as s
            on s.run_no = p_run_no and s.source_no = o.source_no and s.item_no = e.item_no
        where p.policy_no = p_policy_no and e.step < least(o.history_length, 20)
    ),

    summed as (
        select r.source_no, r.item_no, sum(r.score) as score from raw as r group by r.source_no, r.item_no
    ),

    -- On the scale of what is published for the user; a user of whom nothing is sets his own.
    scale as (
        select
            s.source_no,
            coalesce(
                (
                    select c.score::double precision from recsql.candidate as c
                    where
                        c.run_no = p_run_no and c.user_no = p_user_no and c.source_no = s.source_no and c.rank = 1
                ),
                max(s.score)
            ) as score
        from summed as s
        group by s.source_no
    )

    select r.source, r.evidence_no, r.item_no, r.source_weight * r.score / nullif(c.score, 0)
    from raw as r
    inner join scale as c on c.source_no = r.source_no;
end;

comment on function recsql.live_part(integer, integer, integer) is
'What the user did since the run, as contributions to the scores of items: collaborative filtering on the newest 20 new items '
'with the weights of the policy, on the scale of the published scores.';
