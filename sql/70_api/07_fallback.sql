-- recsql.fallback: best first.
create function recsql.fallback(
    p_run_no integer,
    p_policy_no integer,
    p_user_no integer,
    p_new_nos integer [],
    p_domain text,
    p_filter jsonb,
    p_exclude integer [],
    p_n integer
)
returns table (item_no integer, parts jsonb)
language plpgsql
stable
set search_path = recsql, pg_temp
-- Only a plan that knows the filter can choose between the index of trends and that of attributes.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    v_rows integer;
begin
    return query
    select t.item_no, jsonb_build_object('trending', t.contribution)
    from trend_part(p_run_no, p_policy_no) as t
    inner join eligible_item(p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude) as e on e.item_no = t.item_no
    order by t.trend desc, t.item_no
    limit p_n;
    get diagnostics v_rows = row_count;
    if v_rows < p_n then
        return query
        select e.item_no, '{"new": 0}'::jsonb
        from eligible_item(p_run_no, p_user_no, p_new_nos, p_domain, p_filter, p_exclude) as e
        where not exists (select from item_popularity as p where p.run_no = p_run_no and p.item_no = e.item_no)
        order by e.published_at desc nulls last, e.item_no
        limit p_n - v_rows;
    end if;
end
$$;

comment on function recsql.fallback(integer, integer, integer, integer [], text, jsonb, integer [], integer) is
'The p_n best eligible items for a user of whom nothing better is known: trending ones, then items without events, the newest first.';
