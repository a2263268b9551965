-- Ways to find candidates by one similarity source for 500 users of the newest trained offline run: psql -f this file.
\timing on
set work_mem = '256MB';
set max_parallel_workers_per_gather = 0;
select max(g.run_no) as run_no
from recsql.run_stage as g
inner join recsql.run as r on r.run_no = g.run_no and r.split_no is not null and r.state <> 'pruned'
where g.stage = 'train' and g.state = 'complete' \gset
create temporary table reader as
select h.user_no, h.item_nos, h.weights, h.barred_nos from recsql.history(:run_no, 1::smallint, 1001, 1500) as h;
create temporary table neighbour as
select s.item_no, n.neighbour_no, n.similarity
from recsql.item_similarity as s
cross join lateral unnest(s.neighbour_nos, s.similarities) as n (neighbour_no, similarity)
where s.run_no = :run_no and s.source_no = 1;
create index on neighbour (item_no) include (neighbour_no, similarity);
vacuum analyze reader, neighbour;

\echo one aggregate over all users, unnest in from
select count(*), sum(score) from (
    select user_no, item_no, score, row_number() over (partition by user_no order by score desc, item_no) as rank
    from (
        select u.user_no, n.item_no, sum(h.weight * n.similarity) as score
        from reader as u
        cross join lateral unnest(u.item_nos, u.weights) as h (item_no, weight)
        inner join recsql.item_similarity as s on s.run_no = :run_no and s.source_no = 1 and s.item_no = h.item_no
        cross join lateral unnest(s.neighbour_nos, s.similarities) as n (item_no, similarity)
        group by u.user_no, n.item_no
    ) as a
    where not exists (
        select from recsql.interaction as i where i.run_no = :run_no and i.user_no = a.user_no and i.item_no = a.item_no
    )
) as r where rank <= 250;

\echo one aggregate over all users, unnest in the select list
select count(*), sum(score) from (
    select user_no, item_no, score, row_number() over (partition by user_no order by score desc, item_no) as rank
    from (
        select p.user_no, p.item_no, sum(p.score) as score
        from (
            select u.user_no, unnest(s.neighbour_nos) as item_no, h.weight * unnest(s.similarities) as score
            from reader as u
            cross join lateral unnest(u.item_nos, u.weights) as h (item_no, weight)
            inner join recsql.item_similarity as s on s.run_no = :run_no and s.source_no = 1 and s.item_no = h.item_no
        ) as p
        group by p.user_no, p.item_no
    ) as a
    where not exists (
        select from recsql.interaction as i where i.run_no = :run_no and i.user_no = a.user_no and i.item_no = a.item_no
    )
) as r where rank <= 250;

\echo user by user, a row for each neighbour
select count(*), sum(n.score) from reader as u
cross join lateral (
    select p.item_no, sum(p.score) as score
    from (
        select s.neighbour_no as item_no, h.weight * s.similarity as score
        from unnest(u.item_nos, u.weights) as h (item_no, weight)
        inner join neighbour as s on s.item_no = h.item_no
        union all
        select unnest(u.barred_nos), '-Infinity'
    ) as p
    group by p.item_no
    having sum(p.score) > 0
    order by score desc, p.item_no
    limit 250
) as n;

\echo user by user over lists, unnest in from
select count(*), sum(n.score) from reader as u
cross join lateral (
    select p.item_no, sum(p.score) as score
    from (
        select n.item_no, h.weight * n.similarity as score
        from unnest(u.item_nos, u.weights) as h (item_no, weight)
        inner join recsql.item_similarity as s on s.run_no = :run_no and s.source_no = 1 and s.item_no = h.item_no
        cross join lateral unnest(s.neighbour_nos, s.similarities) as n (item_no, similarity)
        union all
        select unnest(u.barred_nos), '-Infinity'
    ) as p
    group by p.item_no
    having sum(p.score) > 0
    order by score desc, p.item_no
    limit 250
) as n;

\echo user by user over lists, unnest in the select list, anti join
select count(*), sum(n.score) from reader as u
cross join lateral (
    select p.item_no, sum(p.score) as score
    from (
        select unnest(s.neighbour_nos) as item_no, h.weight * unnest(s.similarities) as score
        from unnest(u.item_nos, u.weights) as h (item_no, weight)
        inner join recsql.item_similarity as s on s.run_no = :run_no and s.source_no = 1 and s.item_no = h.item_no
    ) as p
    where not exists (
        select from recsql.interaction as i where i.run_no = :run_no and i.user_no = u.user_no and i.item_no = p.item_no
    )
    group by p.item_no
    having sum(p.score) > 0
    order by score desc, p.item_no
    limit 250
) as n;

\echo what recsql.similarity_candidates does
create temporary table found as select * from recsql.similarity_candidates(:run_no, 1::smallint, 1001, 1500, 250);
select count(*), sum(score) from found;

\echo write a row for each candidate, with the key of the former table
create temporary table candidate_row (
    run_no integer, user_no integer, source_no smallint, rank smallint, item_no integer, score real,
    primary key (run_no, user_no, source_no, rank) include (item_no, score)
);
insert into candidate_row
select :run_no, f.user_no, 1, row_number() over (partition by f.user_no order by f.score desc, f.item_no), f.item_no, f.score
from found as f;

\echo write lists
create temporary table candidate_list (like recsql.candidate including all);
insert into candidate_list
select :run_no, f.user_no, 1, array_agg(f.item_no order by f.score desc, f.item_no),
    array_agg(f.score::real order by f.score desc, f.item_no)
from found as f
group by f.user_no;
