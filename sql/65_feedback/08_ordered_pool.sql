-- recsql.ordered_pool: the pool's places, best first.
create function recsql.ordered_pool(
    p_ranking_policy_no integer, p_run_no integer, p_user_no integer, p_item_nos integer [], p_scores double precision []
)
returns integer []
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
declare
    v_policy ranking_policy;
    v_version_no integer;
begin
    select * into v_policy from ranking_policy as p where p.ranking_policy_no = p_ranking_policy_no;
    if v_policy.kind = 'model' then
        -- What the run trained of the same model knows the users of now.
        select coalesce(max(r.version_no), v_policy.version_no) into v_version_no
        from model_version as v
        inner join model_version as r on r.model_no = v.model_no and r.run_no = p_run_no
            and to_regclass('recsql.user_vector_' || r.version_no) is not null
        where v.version_no = v_policy.version_no;
        return array(
            select p.place::integer
            from unnest(p_item_nos, p_scores) with ordinality as p (item_no, score, place)
            left join user_vector as u on u.version_no = v_version_no and u.user_no = p_user_no
            left join item_vector as i on i.version_no = v_version_no and i.item_no = p.item_no
            order by i.embedding <#> u.embedding asc nulls last, p.score desc, p.place
        );
    end if;
    if v_policy.kind = 'bandit' then
        return array(
            select p.place::integer
            from unnest(p_item_nos, p_scores) with ordinality as p (item_no, score, place)
            left join bandit_score(p_ranking_policy_no, p_user_no, p_item_nos, p_scores) as s on s.item_no = p.item_no
            order by s.score desc nulls last, p.score desc, p.place
        );
    end if;
    return array(
        select p.place::integer
        from unnest(p_scores) with ordinality as p (score, place)
        order by p.score desc, p.place
    );
end
$$;

comment on function recsql.ordered_pool(integer, integer, integer, integer [], double precision []) is
'In which order a ranking policy shows a pool of items: by the inner products of vectors, those of what the run trained of its version''s '
'model, else of the version itself, or by what a bandit expects; what it knows neither of comes behind the rest by score. Null and the other '
'kinds go by score.';
