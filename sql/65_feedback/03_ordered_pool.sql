-- recsql.ordered_pool: the pool's places, best first.
create function recsql.ordered_pool(
    p_ranking_policy_no integer, p_user_no integer, p_item_nos integer [], p_scores double precision []
)
returns integer []
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
declare
    v_policy ranking_policy;
begin
    select * into v_policy from ranking_policy as p where p.ranking_policy_no = p_ranking_policy_no;
    if v_policy.kind = 'model' then
        return array(
            select p.place::integer
            from unnest(p_item_nos, p_scores) with ordinality as p (item_no, score, place)
            left join user_vector as u on u.version_no = v_policy.version_no and u.user_no = p_user_no
            left join item_vector as i on i.version_no = v_policy.version_no and i.item_no = p.item_no
            order by i.embedding <#> u.embedding asc nulls last, p.score desc, p.place
        );
    end if;
    return array(
        select p.place::integer
        from unnest(p_scores) with ordinality as p (score, place)
        order by p.score desc, p.place
    );
end
$$;

comment on function recsql.ordered_pool(integer, integer, integer [], double precision []) is
'In which order a ranking policy shows a pool of items: by the inner products of its version''s vectors, what it has no vectors for '
'behind the rest by score; null and the other kinds by score.';
