-- recsql.add_list_partition: idempotent; returns the partition's name.
create function recsql.add_list_partition(p_table regclass, p_key integer, p_unlogged boolean default false)
returns text
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_name text := format('%s_%s', (select c.relname from pg_class as c where c.oid = p_table), p_key);
begin
    if to_regclass(format('recsql.%I', v_name)) is null then
        -- Before anything else is held of the table: of two that both read it first and then attach, one would deadlock.
        execute format('lock table %s in share update exclusive mode', p_table);
        execute format(
            'create %s table recsql.%I (like %s including defaults including constraints including storage)',
            case when p_unlogged then 'unlogged' else '' end, v_name, p_table
        );
        execute format('alter table %s attach partition recsql.%I for values in (%s)', p_table, v_name, p_key);
    end if;
    return v_name;
end
$$;

comment on function recsql.add_list_partition(regclass, integer, boolean) is
'Gives a list-partitioned table its partition for one key, and returns the partition''s name; idempotent.';
