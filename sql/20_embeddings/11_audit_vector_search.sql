-- recsql.audit_vector_search: the rows that it wrote, one per search.
create function recsql.audit_vector_search(
    p_n_queries integer default 50, p_k integer default 10, p_filter jsonb default '{}', p_domain text default null
)
returns setof recsql.vector_search_audit
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    v_filter jsonb := coalesce(p_filter, '{}');
    v_set record;
    v_plan record;
    v_query record;
    v_n_matching bigint;
    v_began timestamptz;
    v_seconds double precision;
    v_found double precision[];
    v_exact double precision[];
    v_strategy text;
    v_row vector_search_audit;
begin
    if coalesce(p_n_queries, 0) not between 1 and 10000 or coalesce(p_k, 0) not between 1 and 1000 then
        raise exception 'p_n_queries is % and p_k is %', coalesce(p_n_queries::text, 'null'), coalesce(p_k::text, 'null')
            using errcode = 'RS002', hint = 'Replay 1 to 10000 searches for 1 to 1000 items each.';
    end if;
    if jsonb_typeof(v_filter) <> 'object' then
        raise exception 'p_filter must be a JSON object'
            using errcode = 'RS002', hint = 'For example {"genre": "Comedy"}: it must be contained in the item''s attributes.';
    end if;
    delete from vector_search_audit where at < now() - interval '90 days';
    for v_set in
        select s.vector_set, s.label, s.vector_set as query_table, 'item_no' as query_key
        from vector_set as s
        inner join content_space as c on s.vector_set = 'item_embedding_' || c.space_no
        union all
        select s.vector_set, s.label, 'user_vector_' || v.version_no, 'user_no'
        from release as r
        inner join model_version as v on v.run_no = r.run_no
        inner join vector_set as s on s.vector_set = 'item_vector_' || v.version_no
        where r.slot = 'default'
    loop
        select * into v_plan from vector_search_plan(v_set.vector_set, p_k, p_domain, v_filter);
        execute format(
            $sql$
                select count(*) from recsql.%I as v
                inner join recsql.item as i on i.item_no = v.item_no
                where i.available and ($1 is null or i.domain = $1) and ($2 = '{}' or i.attributes @> $2)
            $sql$, v_set.vector_set
        ) into v_n_matching using p_domain, v_filter;
        for v_query in execute format(
            $sql$
                select q.embedding, case when %2$L = 'item_no' then array[q.%2$I] else '{}' end as exclude
                from (select k.%2$I from recsql.%1$I as k order by random() limit $1) as k
                inner join recsql.%1$I as q on q.%2$I = k.%2$I
            $sql$, v_set.query_table, v_set.query_key
        ) using p_n_queries
        loop
            v_began := clock_timestamp();
            select coalesce(array_agg(n.similarity), '{}'), max(n.strategy) into v_found, v_strategy
            from nearest_items(v_set.vector_set, v_query.embedding, p_k, p_domain, v_filter, v_query.exclude) as n;
            v_seconds := extract(epoch from clock_timestamp() - v_began);
            v_began := clock_timestamp();
            select coalesce(array_agg(n.similarity), '{}') into v_exact
            from nearest_exact(v_set.vector_set, v_query.embedding, p_k, p_domain, v_filter, v_query.exclude) as n;
            insert into vector_search_audit
            (
                vector_set, label, domain, filter, n, strategy, is_completed, n_estimated, n_matching, n_found, recall,
                seconds, exact_seconds
            )
            select
                v_set.vector_set, v_set.label, p_domain, v_filter, p_k, v_plan.strategy, coalesce(v_strategy = 'completed', false),
                v_plan.n_estimated, v_n_matching, cardinality(v_found),
                -- Of items equally far, which ones are found is no matter.
                (select count(*) from unnest(v_found) as f (similarity) where f.similarity >= e.least - 1e-6)::real
                / nullif(cardinality(v_exact), 0),
                v_seconds, extract(epoch from clock_timestamp() - v_began)
            from (select min(x.similarity) as least from unnest(v_exact) as x (similarity)) as e
            returning * into v_row;
            return next v_row;
        end loop;
    end loop;
end
$$;

comment on function recsql.audit_vector_search(integer, integer, jsonb, text) is
'Replays searches of the content space, for what is like items drawn at random, and of the served run''s models, for what suits '
'users drawn at random, beside the exact answers, and writes a row of vector_search_audit for each. p_n_queries: searches of '
'each set, 1 to 10000; p_k: items to find, 1 to 1000; p_filter, p_domain: which items may be found. Rows older than 90 days go. '
'Errors: RS002 an argument is out of range.';
