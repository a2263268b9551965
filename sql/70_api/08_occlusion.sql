-- recsql.occlusion: one row per item, model of vectors that has scored it, and item that the user had of late; unordered.
create function recsql.occlusion(p_run_no integer, p_policy_no integer, p_user_no integer, p_item_nos integer [])
returns table (item_no integer, component text, evidence_no integer, share double precision)
language sql
stable
begin atomic
    with judged as (
        select
            t.item_no,
            m.model,
            x.version_no,
            x.item_nos[cardinality(x.item_nos)] as weakest_no,
            -- What is fused is how far a score lies above the user's weakest candidate. Of ranks, the best one's distance stands for it.
            x.scores[case f.kind when 'rrf' then 1 else array_position(x.item_nos, t.item_no) end]::double precision
            - x.scores[cardinality(x.scores)] as distance
        from recsql.score as x
        inner join recsql.model_version as v on v.version_no = x.version_no
        inner join recsql.model as m on m.model_no = v.model_no
        inner join recsql.fusion_policy as f on f.policy_no = p_policy_no
        cross join unnest(p_item_nos) as t (item_no)
        where x.run_no = p_run_no and x.user_no = p_user_no
    )

    select j.item_no, j.model, a.item_no as evidence_no, ((a.embedding <#> w.embedding) - (a.embedding <#> t.embedding)) / j.distance
    from judged as j
    inner join recsql.item_vector as t on t.version_no = j.version_no and t.item_no = j.item_no
    inner join recsql.item_vector as w on w.version_no = j.version_no and w.item_no = j.weakest_no
    inner join recsql.attribution as a on a.version_no = j.version_no and a.user_no = p_user_no
    where j.distance > 0;
end;

comment on function recsql.occlusion(integer, integer, integer, integer []) is
'Which share of what a model adds to each of some items of a user each of the user''s newest items has: by how much less the item would lie above the '
'user''s weakest candidate without it, over how much it does. The shares need not sum to 1, and one below 0 speaks against the item.';
