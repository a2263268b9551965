-- recsql.nearest_exact: nearest first.
create function recsql.nearest_exact(
    p_set text, p_vector vector, p_n integer, p_domain text, p_filter jsonb, p_exclude integer []
)
returns table (item_no integer, similarity double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
declare
    v_set vector_set;
begin
    select * into v_set from vector_set as s where s.vector_set = p_set;
    -- Where something is asked for, the few items that match first, as an array: the index on vectors is then read along
    -- in its order, not searched anew for each item.
    return query execute format(
        $sql$
            select n.item_no, %1$s - n.distance
            from (
                select v.item_no, v.embedding %2$s $1 as distance
                from recsql.%3$I as v
                where
                    v.%4$s and v.item_no <> all ($2)
                    and %5$s
            ) as n
            where n.distance <> 'NaN'
            order by n.distance, n.item_no
            limit $5
        $sql$,
        case v_set.measure when 'cosine' then 1 else 0 end, case v_set.measure when 'cosine' then '<=>' else '<#>' end,
        p_set, v_set.key,
        case
            when p_domain is null and p_filter = '{}'
                then 'exists (select from recsql.item as i where i.item_no = v.item_no and i.available)'
            else
                'v.item_no = any (array('
                'select i.item_no from recsql.item as i '
                'where i.available and ($3 is null or i.domain = $3) and ($4 = ''{}'' or i.attributes @> $4)))'
        end
    ) using p_vector, p_exclude, p_domain, p_filter, p_n;
end
$$;

comment on function recsql.nearest_exact(text, vector, integer, text, jsonb, integer []) is
'The p_n nearest available items of a set by comparing with every one that matches; arguments and similarity as of nearest_items.';
