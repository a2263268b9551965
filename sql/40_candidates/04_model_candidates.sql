-- recsql.model_candidates: the p_n items of each user with the greatest inner product.
create function recsql.model_candidates(
    p_run_no integer, p_version_no integer, p_first_user_no integer, p_last_user_no integer, p_n integer
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 200
as $$
declare
    v_dim integer := (select v.dim from model_version as v where v.version_no = p_version_no);
begin
    if v_dim is null then
        return;
    end if;
    return query execute format($sql$
        select u.user_no, n.item_no, -n.distance
        from recsql.user_vector as u
        cross join lateral (
            select v.item_no, v.embedding::vector(%1$s) <#> u.embedding::vector(%1$s) as distance
            from recsql.item_vector as v
            inner join recsql.catalogue($1) as c on c.item_no = v.item_no
            where
                v.version_no = %2$s
                and (c.allows_repeat or not exists (
                    select from recsql.interaction as i
                    where i.run_no = $1 and i.user_no = u.user_no and i.item_no = v.item_no
                ))
            order by v.embedding::vector(%1$s) <#> u.embedding::vector(%1$s)
            limit $4
        ) as n
        where u.version_no = %2$s and u.user_no between $2 and $3
    $sql$, v_dim, p_version_no) using p_run_no, p_first_user_no, p_last_user_no, p_n;
end
$$;

comment on function recsql.model_candidates(integer, integer, integer, integer, integer) is
'Items with the greatest inner product of a model version''s user and item vectors, for users in a range of user_no.';
