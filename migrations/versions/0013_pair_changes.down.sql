create temporary table summed as
select c.run_no, c.source_no, c.item_no, c.neighbour_no, sum(c.n)::bigint as n
from recsql.pair_count as c
group by c.run_no, c.source_no, c.item_no, c.neighbour_no
having sum(c.n) <> 0;
truncate recsql.pair_count;
drop index recsql.pair_count_pair_idx;
alter table recsql.pair_count add primary key (run_no, source_no, item_no, neighbour_no);
insert into recsql.pair_count (run_no, source_no, item_no, neighbour_no, n)
select s.run_no, s.source_no, s.item_no, s.neighbour_no, s.n from summed as s;
drop table summed;
