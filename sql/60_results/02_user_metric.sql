-- recsql.user_metric: one row per user who has relevant items.
create function recsql.user_metric(p_run_no integer, p_method text, p_k integer default 10)
returns table (
    user_no integer, n_relevant integer, ndcg double precision, recall double precision, mrr double precision,
    average_precision double precision, has_history boolean
)
language sql
stable
-- Estimates behind the cut are far too low, and nested loops would be chosen where a hash is far faster.
set enable_nestloop = off
begin atomic
    with relevant as materialized (
        select e.user_no, e.item_no from recsql.relevant_event(p_run_no) as e
    ),

    users as (
        select r.user_no, count(*)::integer as n_relevant from relevant as r group by r.user_no
    ),

    -- A tie is decided against us: of equal scores the irrelevant item comes first.
    positions as (
        select
            m.user_no,
            r.item_no is not null as is_relevant,
            row_number() over (partition by m.user_no order by m.score desc, r.item_no is not null, m.item_no) as position
        from recsql.ranked(p_run_no, p_method) as m
        inner join users as u on u.user_no = m.user_no
        left join relevant as r on r.user_no = m.user_no and r.item_no = m.item_no
    ),

    hits as (
        select
            p.user_no,
            p.position,
            row_number() over (partition by p.user_no order by p.position) as n_hits
        from positions as p
        where p.is_relevant and p.position <= p_k
    ),

    measured as (
        select
            h.user_no,
            sum(1 / log(2.0, h.position + 1)::double precision) as dcg,
            count(*) as n_hits,
            max(1.0::double precision / h.position) as mrr,
            sum(h.n_hits::double precision / h.position) as precisions
        from hits as h
        group by h.user_no
    )

    select
        u.user_no,
        u.n_relevant,
        coalesce(m.dcg, 0) / (
            select sum(1 / log(2.0, i.position + 1)::double precision)
            from generate_series(1, least(u.n_relevant, p_k)) as i (position)
        ) as ndcg,
        coalesce(m.n_hits, 0)::double precision / u.n_relevant as recall,
        coalesce(m.mrr, 0) as mrr,
        coalesce(m.precisions, 0) / u.n_relevant as average_precision,
        h.user_no is not null as has_history
    from users as u
    left join (
        select distinct i.user_no from recsql.interaction as i where i.run_no = p_run_no
    ) as h on h.user_no = u.user_no
    left join measured as m on m.user_no = u.user_no;
end;

comment on function recsql.user_metric(integer, text, integer) is
'Quality of one method of an offline run for each user: NDCG@k, recall@k, reciprocal rank@k and average precision@k with binary '
'relevance; of items with equal scores the irrelevant ones come first. has_history: whether '
'the run knew anything of the user.';
