-- recsql.coverage: one number, null where there is no catalogue.
create function recsql.coverage(p_run_no integer, p_method text, p_k integer default 10)
returns double precision
language sql
stable
begin atomic
    select count(distinct s.item_no)::double precision
        / nullif((select count(*) from recsql.catalogue(p_run_no)), 0)
    from (
        select
            r.item_no,
            row_number() over (partition by r.user_no order by r.score desc, r.item_no) as position
        from recsql.ranked(p_run_no, p_method) as r
    ) as s
    where s.position <= p_k;
end;

comment on function recsql.coverage(integer, text, integer) is
'Share of a run''s catalogue, from 0 to 1, that is among the first k of at least one user by one method.';
