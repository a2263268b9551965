-- recsql.calibrated: effective scores, one per item, in their order.
create function recsql.calibrated(
    p_run_no integer,
    p_user_no integer,
    p_item_nos integer [],
    p_scores double precision [],
    p_n integer,
    p_strength double precision,
    p_key text
)
returns double precision []
language plpgsql
stable
set search_path = recsql, pg_temp
set plan_cache_mode = force_generic_plan
-- Of short lists; a hash of the whole catalogue costs more than all the rest.
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    v_categories text [];
    v_wanted double precision [];
    -- What the list has of each category so far; of each item's category: the item's place, its number, and its share of the item.
    v_sums double precision [];
    v_places integer [];
    v_nos integer [];
    v_shares double precision [];
    v_relevances double precision [];
    v_chosen integer [] := '{}';
    v_place integer;
    v_at integer;
begin
    perform check_strength('calibration', p_strength);
    if p_key is null then
        raise exception 'calibration needs a key'
            using errcode = 'RS002', hint = 'Set calibration_key to domain, tags, or the name of an attribute of items, as "genres".';
    end if;
    select array_agg(s.category), array_agg(s.share), array_agg(0.0::double precision)
    into v_categories, v_wanted, v_sums
    from category_share(p_run_no, p_user_no, p_user_no, p_key) as s;
    -- Next to nothing is nothing: products with it would be out of range.
    if p_strength < 1e-9 or v_categories is null then
        return p_scores;
    end if;

    -- Categories that the user's history lacks have no part in the divergence.
    select array_agg(c.place order by c.place), array_agg(c.category_no order by c.place), array_agg(c.share order by c.place)
    into v_places, v_nos, v_shares
    from (
        select
            array_position(p_item_nos, o.item_no) as place, array_position(v_categories, c.category) as category_no,
            1.0::double precision / jsonb_array_length(i.categories) as share
        from item as o
        cross join lateral (select item_categories(o, p_key) as categories) as i
        cross join lateral jsonb_array_elements_text(i.categories) as c (category)
        -- Not joined with the list, or the whole catalogue would be read.
        where o.item_no = any (p_item_nos)
    ) as c
    where c.category_no is not null;
    select array_agg((1 - p_strength) * coalesce((s.score - s.lowest) / nullif(s.highest - s.lowest, 0), 0) order by s.place)
    into v_relevances
    from (
        select s.place, s.score, min(s.score) over () as lowest, max(s.score) over () as highest
        from unnest(p_scores) with ordinality as s (score, place)
    ) as s;

    -- Longer lists are read in parts.
    for v_nth in 1 .. least(p_n, cardinality(p_item_nos), 100) loop
        -- Only the terms of an item's own categories tell one item from another.
        select r.place::integer into v_place
        from unnest(v_relevances) with ordinality as r (relevance, place)
        left join (
            select
                c.place,
                sum(
                    v_wanted[c.no] * (
                        ln(0.99 * (v_sums[c.no] + c.share) / v_nth + 0.01 * v_wanted[c.no])
                        - ln(0.99 * v_sums[c.no] / v_nth + 0.01 * v_wanted[c.no])
                    )
                ) as gain
            from unnest(v_places, v_nos, v_shares) as c (place, no, share)
            group by c.place
        ) as g on g.place = r.place
        where r.relevance is not null
        order by r.relevance + p_strength * coalesce(g.gain, 0) desc, r.place
        limit 1;
        v_chosen := v_chosen || v_place;
        v_relevances[v_place] := null;
        v_at := array_position(v_places, v_place);
        while v_places[v_at] = v_place loop
            v_sums[v_nos[v_at]] := v_sums[v_nos[v_at]] + v_shares[v_at];
            v_at := v_at + 1;
        end loop;
    end loop;
    return redistributed(p_scores, v_chosen);
end
$$;

comment on function recsql.calibrated(integer, integer, integer [], double precision [], integer, double precision, text) is
'Effective scores by which the first p_n (at most 100) items have categories in the shares that they have in the user''s own history '
'(category_share), Steck 2018: place by place the item that adds most to (1 - p_strength) × sum of scores, scaled to 0 to 1 within the list, less '
'p_strength × KL(history || 0.99 × list + 0.01 × history). p_key: as of item_categories; p_strength: from 0, as it was. A list for whose user no '
'history is known stays as it is. Errors: RS002 no key, or a strength that is not from 0 to 1.';
