-- recsql.cross_domain_candidates: the p_n nearest items of each user in domains new to the user; unordered.
create function recsql.cross_domain_candidates(
    p_run_no integer,
    p_source_no smallint,
    p_first_user_no integer,
    p_last_user_no integer,
    p_n integer,
    p_is_live boolean default false
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, public, pg_temp
set hnsw.iterative_scan = 'relaxed_order'
set hnsw.ef_search = 200
as $$
declare
    v_space content_space;
    v_is_offline boolean := (select r.split_no is not null from run as r where r.run_no = p_run_no);
begin
    select * into v_space from run_space(p_run_no);
    if not found or (select count(*) from domain) < 2 then
        return;
    end if;
    return query execute format($sql$
        with reader as materialized (
            select
                h.user_no,
                (
                    select sum(e.embedding * array_fill(n.weight::real, array[%1$s])::vector)
                    from unnest(h.item_nos, h.weights) as n (item_no, weight)
                    inner join recsql.item_embedding as e on e.space_no = %2$s and e.item_no = n.item_no
                ) as embedding,
                array(
                    select d.domain from recsql.domain as d
                    where not exists (
                        select from unnest(k.item_nos) as o (item_no)
                        inner join recsql.item as i on i.item_no = o.item_no and i.domain = d.domain
                    )
                ) as domains
            from recsql.history($1, $2, $3, $4, $6) as h
            inner join (
                select k.user_no, array_agg(k.item_no) as item_nos
                from recsql.known_interaction($1, $3, $4, $6) as k
                group by k.user_no
            ) as k on k.user_no = h.user_no
        )

        select u.user_no, n.item_no, 1 - n.distance
        from reader as u
        cross join lateral (
            select e.item_no, e.embedding%3$s <=> u.embedding%3$s as distance
            from recsql.item_embedding_%2$s as e
            inner join recsql.item as i on i.item_no = e.item_no
            where
                i.domain = any (u.domains)
                and exists (select from recsql.catalogue($1) as c where c.item_no = e.item_no)
            order by e.embedding%3$s <=> u.embedding%3$s
            limit $5
        ) as n
        where u.embedding is not null and u.domains <> '{}'
    $sql$,
        v_space.dim,
        v_space.space_no,
        -- Only with the type that the index has may it be used: an offline figure must not depend on its recall.
        case when v_is_offline then '' else format('::vector(%s)', v_space.dim) end
    ) using p_run_no, p_source_no, p_first_user_no, p_last_user_no, p_n, p_is_live;
end
$$;

comment on function recsql.cross_domain_candidates(integer, smallint, integer, integer, integer, boolean) is
'For users who have nothing yet in some domain: its items that are nearest to what they had in others, by cosine with the sum of '
'their recent items'' content vectors. No rows where there is but one domain. p_is_live: with what they did since the run.';
