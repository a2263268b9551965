-- recsql.clean_entities: one row of counts; the load's rows of entity_inbox are taken.
create function recsql.clean_entities(
    p_load_no integer, out n_items bigint, out n_users bigint, out n_rejected bigint
)
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    create temporary table taken on commit drop as
    with gone as (
        delete from recsql.entity_inbox as i where i.load_no = p_load_no returning i.*
    ),

    parsed as materialized (
        select
            g.*,
            case when pg_input_is_valid(g.payload, 'jsonb') and octet_length(g.payload) <= 4000000 then g.payload::jsonb end
                as data
        from gone as g
    ),

    judged as (
        select p.*, entity_reason(p.entity, p.entity_id, p.payload, p.data) as reason from parsed as p
    )

    select
        j.*,
        row_number() over (partition by j.entity, j.entity_id, j.reason is null order by j.inbox_no desc) as version
    from judged as j;

    insert into entity_rejected (load_no, line_no, entity, entity_id, payload, reason)
    select p_load_no, t.line_no, t.entity, t.entity_id, t.payload, t.reason
    from pg_temp.taken as t
    where t.reason is not null;
    get diagnostics n_rejected = row_count;

    -- In batches, since an array holds at most 1 GB, and a payload up to 4 MB.
    select coalesce(sum(put_items(b.entity_ids, b.data)), 0) into n_items
    from (
        select array_agg(n.entity_id order by n.place) as entity_ids, array_agg(n.data order by n.place) as data
        from (
            select t.entity_id, t.data, row_number() over (order by t.inbox_no) as place
            from pg_temp.taken as t
            where t.entity = 'item' and t.version = 1 and t.reason is null
        ) as n
        group by n.place / 200
        order by n.place / 200
    ) as b;

    insert into app_user as u (user_id, attributes)
    select t.entity_id, coalesce(t.data -> 'attributes', '{}')
    from pg_temp.taken as t
    where t.entity = 'user' and t.version = 1 and t.reason is null
    order by t.inbox_no
    on conflict (user_id) do update set attributes = excluded.attributes
        where u.attributes is distinct from excluded.attributes;
    get diagnostics n_users = row_count;

    drop table pg_temp.taken;
end
$$;

comment on function recsql.clean_entities(integer) is
'Moves the raw items and users of one load into item, item_media and app_user, and those that cannot be used into '
'entity_rejected with their reason; the last of an id that can be used wins. Returns items and users added or changed, rows refused.';
