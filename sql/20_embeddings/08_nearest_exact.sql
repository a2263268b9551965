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
    return query execute format(
        $sql$
            select n.item_no, %s - n.distance
            from (
                select v.item_no, v.embedding %s $1 as distance
                from recsql.%I as v
                inner join recsql.item as i on i.item_no = v.item_no
                where
                    i.available and v.item_no <> all ($2)
                    and ($3 is null or i.domain = $3)
                    and ($4 = '{}' or i.attributes @> $4)
            ) as n
            where n.distance <> 'NaN'
            order by n.distance, n.item_no
            limit $5
        $sql$,
        case v_set.measure when 'cosine' then 1 else 0 end, case v_set.measure when 'cosine' then '<=>' else '<#>' end, p_set
    ) using p_vector, p_exclude, p_domain, p_filter, p_n;
end
$$;

comment on function recsql.nearest_exact(text, vector, integer, text, jsonb, integer []) is
'The p_n nearest available items of a set by comparing with every one that matches; arguments and similarity as of nearest_items.';
