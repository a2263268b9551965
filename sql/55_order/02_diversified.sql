-- recsql.diversified: effective scores, one per item, in their order.
create function recsql.diversified(
    p_item_nos integer [],
    p_scores double precision [],
    p_n integer,
    p_strength double precision,
    p_method text default 'mmr',
    p_run_no integer default null
)
returns double precision []
language plpgsql
stable
set search_path = recsql, public, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    -- Products with next to nothing would be out of range.
    v_strength double precision := case when p_strength < 1e-9 then 0 else p_strength end;
    v_space_no integer := coalesce((select s.space_no from run_space(p_run_no) as s), (select c.space_no from content_space as c));
    v_lowest double precision := (select min(s.score) from unnest(p_scores) as s (score));
    v_range double precision := coalesce(nullif((select max(s.score) from unnest(p_scores) as s (score)) - v_lowest, 0), 1);
    v_relevances double precision [];
    v_vectors bandit.draws%type;
    -- mmr: the largest cosine with what is chosen; msd: the sum of them; dpp: what is left of the squared volume, and the rows of the
    -- Cholesky factor.
    v_cosines double precision [];
    v_volumes double precision [];
    v_rows bandit.draws%type;
    v_vector item_embedding.embedding%type;
    v_row item_embedding.embedding%type;
    v_volume double precision;
    v_chosen integer [] := '{}';
    v_place integer;
begin
    select
        array_agg((1 - v_strength) * (s.score - v_lowest) / v_range order by s.place),
        array_agg(case when vector_norm(e.embedding) > 0 then e.embedding end order by s.place),
        array_agg(0.0::double precision), array_agg(1.0::double precision), array_agg('[0]'::vector)
    into v_relevances, v_vectors, v_cosines, v_volumes, v_rows
    from unnest(p_item_nos, p_scores) with ordinality as s (item_no, score, place)
    left join item_embedding as e on e.space_no = v_space_no and e.item_no = s.item_no;

    -- Longer lists are read in parts.
    for v_nth in 1 .. least(p_n, cardinality(p_item_nos), 100) loop
        select o.place into v_place
        from unnest(v_relevances, v_cosines, v_volumes) with ordinality as o (relevance, cosine, volume, place)
        where o.relevance is not null
        order by
            o.relevance + v_strength * case p_method
                when 'dpp' then ln(o.volume)
                when 'msd' then -o.cosine / greatest(v_nth - 1, 1)
                else -o.cosine
            end desc,
            o.place
        limit 1;
        v_chosen := v_chosen || v_place;
        v_relevances[v_place] := null;
        v_vector := v_vectors[v_place];
        continue when v_vector is null;
        if p_method = 'dpp' then
            v_row := v_rows[v_place];
            v_volume := v_volumes[v_place];
            -- What is left is no more exact than vectors are.
            select
                array_agg(o.factor || array[o.projection]::vector order by o.place),
                array_agg(greatest(o.volume - o.projection ^ 2, 1e-6) order by o.place)
            into v_rows, v_volumes
            from (
                select r.factor, r.volume, r.place,
                    (coalesce(1 - (r.embedding <=> v_vector), 0) + (r.factor <#> v_row)) / sqrt(v_volume) as projection
                from unnest(v_vectors, v_rows, v_volumes) with ordinality as r (embedding, factor, volume, place)
            ) as o;
        else
            v_cosines := array(
                select case p_method when 'msd' then o.cosine + coalesce(n.cosine, 0) else greatest(o.cosine, n.cosine) end
                from unnest(v_vectors, v_cosines) with ordinality as o (embedding, cosine, place)
                cross join lateral (select 1 - (o.embedding <=> v_vector) as cosine) as n
                order by o.place
            );
        end if;
    end loop;
    -- Which items a list has makes it diverse, not their order: the best of them comes first.
    return redistributed(
        p_scores, array(select c.place from unnest(v_chosen) as c (place) order by p_scores[c.place] desc, c.place)
    );
end
$$;

comment on function recsql.diversified(integer [], double precision [], integer, double precision, text, integer) is
'Effective scores by which the first p_n (at most 100) items are not alike by content. With scores scaled to 0 to 1 within the list, place by '
'place the best by (1 - p_strength) × score, less p_strength × its largest cosine with what is chosen (mmr, Carbonell & Goldstein 1998) or its mean '
'cosine with that (msd: max-sum, Borodin et al. 2012), or plus p_strength × the log of what it adds to the squared volume that the contents span '
'(dpp: greedy MAP, Chen et al. 2018). p_strength: from 0, as it was, to 1; p_run_no: compares in run_space, null in content_space. What has no '
'vector is at distance 1 from all.';
