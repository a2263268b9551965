-- recsql.vector_search_plan: one row, how a search of a set would be done.
create function recsql.vector_search_plan(
    p_set text, p_n integer default 10, p_domain text default null, p_filter jsonb default '{}'
)
returns table (
    strategy text, n_estimated double precision, n_visited double precision, dim integer, measure text, index_type text
)
language plpgsql
set search_path = recsql, public, pg_temp
as $$
declare
    -- Costs as the benchmarks vector_index and vector_search show them: while it looks for matching rows, the index takes
    -- about six times as long for a row that it visits as a comparison with all takes for a row; and up to so few rows,
    -- comparing them all is fast enough for any caller, and never wrong.
    c_cost_of_visit constant double precision := 6;
    c_always_exact constant double precision := 4000;
    c_min_visited constant double precision := 100;
    c_max_visited constant double precision := 20000;
    v_set vector_set;
    v_rows double precision;
    v_plan json;
begin
    select * into v_set from vector_set as s where s.vector_set = p_set;
    if not found then
        raise exception 'there is no set of vectors %', p_set
            using errcode = 'RS001', hint = 'recsql.vector_set lists them.';
    end if;
    v_rows := v_set.n_rows;
    if v_rows is null then
        execute format('select count(*) from (select from recsql.%I limit $1) as r', p_set) into v_rows using c_max_visited + 1;
    end if;
    n_estimated := v_rows;
    if p_domain is not null or p_filter <> '{}' then
        execute format(
            'explain (format json) select from recsql.item as i where i.available%s%s',
            ' and i.domain = ' || quote_literal(p_domain),
            ' and i.attributes @> ' || quote_literal(nullif(p_filter, '{}'))
        ) into v_plan;
        n_estimated := least(v_rows, (v_plan -> 0 -> 'Plan' ->> 'Plan Rows')::double precision);
    end if;
    -- Twice as many as are wanted are fetched, to be ranked by the full vectors.
    n_visited := greatest(c_min_visited, 2 * p_n * v_rows / greatest(n_estimated, 1));
    strategy := case
        when
            v_set.index_type is null
            or n_visited > c_max_visited
            or n_estimated <= greatest(c_always_exact, c_cost_of_visit * n_visited)
            then 'exact'
        else 'index'
    end;
    dim := v_set.dim;
    measure := v_set.measure;
    index_type := v_set.index_type;
    return next;
end
$$;

comment on function recsql.vector_search_plan(text, integer, text, jsonb) is
'How nearest_items searches a set for the p_n nearest items of a domain (null: any) whose attributes contain p_filter. strategy: '
'exact compares with every matching row, index walks the HNSW index until enough rows match; n_estimated: matching rows, by the '
'statistics of the tables; n_visited: rows that the index would visit. Volatile only because PostgreSQL explains nothing in '
'stable functions. Errors: RS001 no such set.';
