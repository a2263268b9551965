-- recsql.continuable_version: at most one row, the version that a run's training can go on from.
create function recsql.continuable_version(p_run_no integer, p_model text, p_config jsonb)
returns table (version_no integer, run_no integer, differing text [])
language sql
stable
begin atomic
    select v.version_no, v.run_no, d.differing
    from recsql.run as r
    left join recsql.split as s on s.split_no = r.split_no
    inner join recsql.model as m on m.model = p_model
    -- A version that was taken over has learnt nothing of the events that its run has seen.
    inner join recsql.model_version as v
        on v.model_no = m.model_no and v.artifact is not null and v.item_nos is not null and v.reused_no is null
    inner join recsql.run as b
        on b.run_no = v.run_no and b.run_no <> r.run_no and b.last_event_no <= r.last_event_no and b.as_of <= r.as_of
    left join recsql.split as t on t.split_no = b.split_no
    cross join lateral (
        select array_agg(k.name order by k.name) as differing
        from (select jsonb_object_keys(p_config || v.config) as name) as k
        where k.name <> 'epochs' and p_config -> k.name is distinct from v.config -> k.name
    ) as d
    where
        r.run_no = p_run_no
        and (s.protocol, s.part) is not distinct from (t.protocol, t.part)
        -- What it was trained on must not lie after this run's cut.
        and not exists (
            select
            from recsql.split_cut as o
            inner join recsql.split_cut as c on c.split_no = r.split_no and c.user_no = o.user_no
            where o.split_no = b.split_no and (o.cut_at, o.cut_event_no) > (c.cut_at, c.cut_event_no)
        )
    order by d.differing is not null, v.version_no desc
    limit 1;
end;

comment on function recsql.continuable_version(integer, text, jsonb) is
'The newest version of a model from which the training of a run can go on: of the same protocol and part, of events that the run may '
'see, its artifact still there. One of the same configuration (the number of epochs aside) if there is such; else differing names the '
'options in which it is another. No row where there is none at all.';
