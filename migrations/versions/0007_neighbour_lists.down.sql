create temporary table neighbour_list on commit drop as
select s.run_no, s.source_no, s.item_no, s.neighbour_nos, s.similarities
from recsql.item_similarity as s;

create temporary table similarity_run on commit drop as
select substring(c.relname from '\d+$')::integer as run_no
from pg_inherits as i
inner join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'recsql.item_similarity'::regclass;

drop table recsql.item_similarity;

create table recsql.item_similarity (
    run_no integer not null,
    source_no smallint not null,
    item_no integer not null,
    rank smallint not null,
    neighbour_no integer not null,
    similarity real not null,
    primary key (run_no, source_no, item_no, rank) include (neighbour_no, similarity)
) partition by list (run_no);
comment on table recsql.item_similarity is
'One row per run, method, item and neighbour; similarity: how strongly having item speaks for neighbour, higher is better.';
create index item_similarity_neighbour_idx on recsql.item_similarity (run_no, neighbour_no, source_no, item_no)
include (similarity);

do $$
declare
    v_run_no integer;
begin
    for v_run_no in select r.run_no from similarity_run as r order by r.run_no
    loop
        execute format(
            'create table recsql.%I (like recsql.item_similarity including defaults including constraints)',
            'item_similarity_' || v_run_no
        );
        execute format(
            'alter table recsql.item_similarity attach partition recsql.%I for values in (%s)',
            'item_similarity_' || v_run_no, v_run_no
        );
    end loop;
end
$$;

insert into recsql.item_similarity (run_no, source_no, item_no, rank, neighbour_no, similarity)
select n.run_no, n.source_no, n.item_no, e.rank, e.neighbour_no, e.similarity
from neighbour_list as n
cross join lateral unnest(n.neighbour_nos, n.similarities) with ordinality as e (neighbour_no, similarity, rank)
order by n.run_no, n.source_no, n.item_no, e.rank;
analyze recsql.item_similarity;
drop table neighbour_list, similarity_run;
