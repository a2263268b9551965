do $$
declare
    v_table text;
begin
    for v_table in
        select c.relname from pg_inherits as i inner join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'recsql.state_vector'::regclass
    loop
        execute format('drop table recsql.%I', v_table);
    end loop;
end
$$;
drop table recsql.state_vector;

delete from recsql.candidate where source_no between 28 and 32;
delete from recsql.source where source_no between 28 and 32;
update recsql.fusion_policy
set weights = weights - '{q_learning,sarsa,cql,sqn,reinforce}'::text []
where policy = 'rrf';
