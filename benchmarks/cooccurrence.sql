-- Ways to count common users; each gives the checksum of the lists that it finds. Settings come first, each followed by
-- an empty line. What all of them read is made once.

-- prepare --
create temporary table recent as
select i.user_no, i.item_no from recsql.interaction as i where i.run_no = {run_no} and i.step < 100;
create index on recent (item_no, user_no);
create index on recent (user_no, item_no);
create temporary table total as select r.item_no, count(*) as n_users from recent as r group by r.item_no;
create temporary table profile as
select r.user_no, array_agg(r.item_no order by r.item_no) as item_nos from recent as r group by r.user_no;
alter table profile add primary key (user_no);
analyze recent;
analyze total;
analyze profile;
create function pg_temp.checksum(p_item_no integer, p_neighbour_no integer, p_n bigint, p_rank bigint) returns bigint
language sql immutable as $$ select hashtextextended(concat_ws(' ', p_item_no, p_neighbour_no, p_n, p_rank), 0) >> 20 $$;

-- planner --
set local work_mem = '512MB';

select sum(pg_temp.checksum(k.item_no, k.neighbour_no, k.n, k.rank))
from (
    select p.*, row_number() over (
        partition by p.item_no
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select a.item_no, b.item_no as neighbour_no, count(*) as n
        from recent as a inner join recent as b on b.user_no = a.user_no and b.item_no <> a.item_no
        group by a.item_no, b.item_no
    ) as p
    inner join total as i on i.item_no = p.item_no
    inner join total as n on n.item_no = p.neighbour_no
) as k
where k.rank <= 200;

-- half_hash --
set local work_mem = '512MB';

set local enable_nestloop = off;

with half as materialized (
    select a.item_no, b.item_no as neighbour_no, count(*) as n
    from recent as a inner join recent as b on b.user_no = a.user_no and b.item_no > a.item_no
    group by a.item_no, b.item_no
)

select sum(pg_temp.checksum(k.item_no, k.neighbour_no, k.n, k.rank))
from (
    select p.*, row_number() over (
        partition by p.item_no
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select h.item_no, h.neighbour_no, h.n from half as h union all select h.neighbour_no, h.item_no, h.n from half as h
    ) as p
    inner join total as i on i.item_no = p.item_no
    inner join total as n on n.item_no = p.neighbour_no
) as k
where k.rank <= 200;

-- half_hash_small_memory --
set local work_mem = '4MB';

set local enable_nestloop = off;

with half as materialized (
    select a.item_no, b.item_no as neighbour_no, count(*) as n
    from recent as a inner join recent as b on b.user_no = a.user_no and b.item_no > a.item_no
    group by a.item_no, b.item_no
)

select sum(pg_temp.checksum(k.item_no, k.neighbour_no, k.n, k.rank))
from (
    select p.*, row_number() over (
        partition by p.item_no
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select h.item_no, h.neighbour_no, h.n from half as h union all select h.neighbour_no, h.item_no, h.n from half as h
    ) as p
    inner join total as i on i.item_no = p.item_no
    inner join total as n on n.item_no = p.neighbour_no
) as k
where k.rank <= 200;

-- half_sort_merge --
set local work_mem = '512MB';

set local enable_nestloop = off;

set local enable_hashjoin = off;

set local enable_hashagg = off;

with half as materialized (
    select a.item_no, b.item_no as neighbour_no, count(*) as n
    from recent as a inner join recent as b on b.user_no = a.user_no and b.item_no > a.item_no
    group by a.item_no, b.item_no
)

select sum(pg_temp.checksum(k.item_no, k.neighbour_no, k.n, k.rank))
from (
    select p.*, row_number() over (
        partition by p.item_no
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select h.item_no, h.neighbour_no, h.n from half as h union all select h.neighbour_no, h.item_no, h.n from half as h
    ) as p
    inner join total as i on i.item_no = p.item_no
    inner join total as n on n.item_no = p.neighbour_no
) as k
where k.rank <= 200;

-- per_item_rows --
set local work_mem = '64MB';

select sum(pg_temp.checksum(i.item_no, k.neighbour_no, k.n, k.rank))
from total as i
cross join lateral (
    select p.neighbour_no, p.n, row_number() over (
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select b.item_no as neighbour_no, count(*) as n
        from recent as a inner join recent as b on b.user_no = a.user_no
        where a.item_no = i.item_no and b.item_no <> i.item_no
        group by b.item_no
    ) as p
    inner join total as n on n.item_no = p.neighbour_no
    order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    limit 200
) as k;

-- per_item --
set local work_mem = '64MB';

select sum(pg_temp.checksum(i.item_no, k.neighbour_no, k.n, k.rank))
from total as i
cross join lateral (
    select p.neighbour_no, p.n, row_number() over (
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select x.neighbour_no, count(*) as n
        from (
            select unnest(s.item_nos) as neighbour_no
            from recent as a inner join profile as s on s.user_no = a.user_no
            where a.item_no = i.item_no
        ) as x
        where x.neighbour_no <> i.item_no
        group by x.neighbour_no
    ) as p
    inner join total as n on n.item_no = p.neighbour_no
    order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    limit 200
) as k;

-- arrays_at_once --
set local work_mem = '512MB';

select sum(pg_temp.checksum(k.item_no, k.neighbour_no, k.n, k.rank))
from (
    select p.*, row_number() over (
        partition by p.item_no
        order by p.n / sqrt(i.n_users::double precision * n.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select x.item_no, x.neighbour_no, count(*) as n
        from (
            select a.item_no, unnest(s.item_nos) as neighbour_no
            from recent as a inner join profile as s on s.user_no = a.user_no
        ) as x
        where x.neighbour_no <> x.item_no
        group by x.item_no, x.neighbour_no
    ) as p
    inner join total as i on i.item_no = p.item_no
    inner join total as n on n.item_no = p.neighbour_no
) as k
where k.rank <= 200;

-- sparse_vectors --
set local work_mem = '512MB';

with users as materialized (
    select
        r.item_no, count(*) as n_users,
        ('{' || string_agg(r.user_no || ':1', ',' order by r.user_no) || '}/' || (select max(m.user_no) from recent as m))::sparsevec
        as who
    from recent as r
    group by r.item_no
)

select sum(pg_temp.checksum(i.item_no, k.neighbour_no, k.n, k.rank))
from users as i
cross join lateral (
    select p.neighbour_no, p.n, row_number() over (
        order by p.n / sqrt(i.n_users::double precision * p.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select n.item_no as neighbour_no, n.n_users, -(i.who <#> n.who)::bigint as n from users as n where n.item_no <> i.item_no
        offset 0
    ) as p
    where p.n > 0
    order by p.n / sqrt(i.n_users::double precision * p.n_users) desc, p.neighbour_no
    limit 200
) as k;

-- bits --
set local work_mem = '512MB';

with users as materialized (
    select r.item_no, count(*) as n_users, string_agg(case when q.item_no is null then '0' else '1' end, '' order by u.user_no)::varbit as who
    from (select t.item_no from total as t) as r
    cross join profile as u
    left join recent as q on q.item_no = r.item_no and q.user_no = u.user_no
    group by r.item_no
)

select sum(pg_temp.checksum(i.item_no, k.neighbour_no, k.n, k.rank))
from users as i
inner join total as t on t.item_no = i.item_no
cross join lateral (
    select p.neighbour_no, p.n, row_number() over (
        order by p.n / sqrt(t.n_users::double precision * p.n_users) desc, p.neighbour_no
    ) as rank
    from (
        select n.item_no as neighbour_no, m.n_users, bit_count(i.who & n.who) as n
        from users as n inner join total as m on m.item_no = n.item_no
        where n.item_no <> i.item_no
        offset 0
    ) as p
    where p.n > 0
    order by p.n / sqrt(t.n_users::double precision * p.n_users) desc, p.neighbour_no
    limit 200
) as k;
