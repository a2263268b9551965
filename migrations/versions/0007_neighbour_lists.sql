-- Neighbours of an item as one row with arrays: a hundred times fewer rows to write, and one row to read.

create temporary table neighbour_list on commit drop as
select
    s.run_no,
    s.source_no,
    s.item_no,
    array_agg(s.neighbour_no order by s.similarity desc, s.neighbour_no) as neighbour_nos,
    array_agg(s.similarity order by s.similarity desc, s.neighbour_no) as similarities
from recsql.item_similarity as s
group by s.run_no, s.source_no, s.item_no;

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
    -- Not compressed: whoever reads a list reads all of it, and random numbers do not shrink.
    neighbour_nos integer [] storage external not null,
    similarities real [] storage external not null,
    primary key (run_no, source_no, item_no),
    constraint item_similarity_lengths_check check (cardinality(neighbour_nos) = cardinality(similarities))
) partition by list (run_no);
comment on table recsql.item_similarity is
'One row per run, method and item: its neighbours, the most similar first (of equal ones the lower number), and how strongly '
'having the item speaks for each of them, higher is better; some methods keep negative similarities too.';

do $$
declare
    v_run_no integer;
begin
    for v_run_no in select r.run_no from similarity_run as r order by r.run_no
    loop
        execute format(
            'create table recsql.%I (like recsql.item_similarity including defaults including constraints including storage)',
            'item_similarity_' || v_run_no
        );
        execute format(
            'alter table recsql.item_similarity attach partition recsql.%I for values in (%s)',
            'item_similarity_' || v_run_no, v_run_no
        );
    end loop;
end
$$;

insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities)
select n.run_no, n.source_no, n.item_no, n.neighbour_nos, n.similarities
from neighbour_list as n
order by n.run_no, n.source_no, n.item_no;
analyze recsql.item_similarity;
drop table neighbour_list, similarity_run;
