-- recsql.reexposed: unordered; higher scores rank first.
create function recsql.reexposed(
    p_run_no integer, p_controls jsonb, p_strength double precision, p_first_user_no integer, p_last_user_no integer
)
returns table (user_no integer, item_no integer, score double precision)
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
#variable_conflict use_column
declare
    v_n constant integer := coalesce((p_controls ->> 'n')::numeric::integer, 10);
    v_batch constant integer := 50;
    v_asked_nos constant integer [] := array(
        select distinct r.user_no
        from recommendation as r
        where r.run_no = p_run_no and r.user_no between p_first_user_no and p_last_user_no
        order by r.user_no
    );
    v_catalogue_nos constant integer [] := array(select c.item_no from catalogue(p_run_no) as c);
    v_exposures double precision [] := array_fill(0.0::double precision, array[cardinality(v_catalogue_nos)]);
    v_user_nos integer [];
    v_item_nos integer [];
    v_scores double precision [];
begin
    perform check_strength('exposure', p_strength);
    -- Next to nothing is nothing: products with it would be out of range.
    if p_strength < 1e-9 then
        return query select c.* from controlled(p_run_no, p_controls, p_first_user_no, p_last_user_no) as c;
        return;
    end if;
    -- Twice, for the first lists meet prices that know nothing yet.
    for v_pass in 1 .. 2 loop
        for v_from in 1 .. cardinality(v_asked_nos) by v_batch loop
            with price as (
                select e.item_no, e.price
                from unnest(v_catalogue_nos, exposure_prices(v_exposures, cardinality(v_exposures))) as e (item_no, price)
            ),

            list as (
                select
                    c.user_no,
                    array_agg(c.item_no order by c.score desc, c.item_no) as item_nos,
                    array_agg(c.score order by c.score desc, c.item_no) as scores,
                    array_agg(coalesce(p.price, 0) order by c.score desc, c.item_no) as prices
                from controlled(
                    p_run_no, p_controls, v_asked_nos[v_from],
                    v_asked_nos[least(v_from + v_batch - 1, cardinality(v_asked_nos))]
                ) as c
                left join price as p on p.item_no = c.item_no
                group by c.user_no
            )

            select array_agg(l.user_no), array_agg(o.item_no), array_agg(o.score)
            into v_user_nos, v_item_nos, v_scores
            from list as l
            cross join lateral unnest(l.item_nos, charged(l.scores, l.prices, p_strength)) as o (item_no, score);

            select array_agg(e.exposure + coalesce(s.exposure, 0) order by e.place)
            into v_exposures
            from unnest(v_catalogue_nos, v_exposures) with ordinality as e (item_no, exposure, place)
            left join (
                select r.item_no, sum(1 / log(2.0, r.position + 1)) as exposure
                from (
                    select o.item_no, row_number() over (partition by o.user_no order by o.score desc, o.item_no) as position
                    from unnest(v_user_nos, v_item_nos, v_scores) as o (user_no, item_no, score)
                ) as r
                where r.position <= v_n
                group by r.item_no
            ) as s on s.item_no = e.item_no;

            if v_pass = 2 then
                return query select * from unnest(v_user_nos, v_item_nos, v_scores);
            end if;
        end loop;
    end loop;
end
$$;

comment on function recsql.reexposed(integer, jsonb, double precision, integer, integer) is
'The lists of a run with exposure controlled, as a slot that served them one after the other would: each fifty users pay the prices that what '
'was shown before has made (exposure_prices, charged), the first n positions count, and all users come twice, of which the second time '
'is what is given. p_controls: the other controls, which go before (controlled); p_strength: as of exposed.';
