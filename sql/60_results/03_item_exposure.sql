-- recsql.item_exposure: one row per item of the run's catalogue.
create function recsql.item_exposure(p_run_no integer, p_method text, p_k integer default 10)
returns table (item_no integer, exposure double precision, n_lists bigint)
language sql
stable
set enable_nestloop = off
begin atomic
    with shown as (
        select p.item_no, sum(1 / log(2.0, p.position + 1))::double precision as exposure, count(*) as n_lists
        from recsql.listed(p_run_no, p_method, p_k) as p
        group by p.item_no
    )

    select c.item_no, coalesce(s.exposure, 0), coalesce(s.n_lists, 0)
    from recsql.catalogue(p_run_no) as c
    left join shown as s on s.item_no = c.item_no;
end;

comment on function recsql.item_exposure(integer, text, integer) is
'What each item of a run''s catalogue gets of the first k of all lists by one method. exposure: sum of 1 / log2(1 + position); n_lists: how many '
'lists it is on.';
