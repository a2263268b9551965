-- recsql.exposed: effective scores, one per item, in their order.
create function recsql.exposed(
    p_slot text, p_item_nos integer [], p_scores double precision [], p_strength double precision
)
returns double precision []
language plpgsql
stable
set search_path = recsql, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_prices double precision [];
begin
    perform check_strength('exposure', p_strength);
    -- Next to nothing is nothing: products with it would be out of range.
    if p_strength < 1e-9 then
        return p_scores;
    end if;
    select array_agg(coalesce(p.price, 0) order by s.place)
    into v_prices
    from unnest(p_item_nos) with ordinality as s (item_no, place)
    left join exposure_price as p on p.slot = p_slot and p.item_no = s.item_no;
    return coalesce(charged(p_scores, v_prices, p_strength), p_scores);
end
$$;

comment on function recsql.exposed(text, integer [], double precision [], double precision) is
'Effective scores in which items pay the price that a slot''s ledger has for them (update_exposure, charged). p_strength: from 0, as it was, to 1, '
'the least shown first. Errors: RS002 a strength that is not from 0 to 1.';
