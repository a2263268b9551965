-- recsql.coverage: one number, null where there is no catalogue.
create function recsql.coverage(p_run_no integer, p_method text, p_k integer default 10)
returns double precision
language sql
stable
begin atomic
    select count(distinct s.item_no)::double precision
        / nullif((select count(*) from recsql.catalogue(p_run_no)), 0)
    from recsql.listed(p_run_no, p_method, p_k) as s;
end;

comment on function recsql.coverage(integer, text, integer) is
'Share of a run''s catalogue, from 0 to 1, that is among the first k of at least one user by one method.';
