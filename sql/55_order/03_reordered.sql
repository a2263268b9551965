-- recsql.reordered: effective scores, one per item, in their order.
create function recsql.reordered(
    p_run_no integer,
    p_user_no integer,
    p_slot text,
    p_controls jsonb,
    p_item_nos integer [],
    p_scores double precision [],
    p_n integer
)
returns double precision []
language plpgsql
stable
set search_path = recsql, public, pg_temp
as $$
declare
    v_novelty double precision := p_controls -> 'novelty';
    v_calibration double precision := p_controls -> 'calibration';
    v_diversity double precision := p_controls -> 'diversity';
    v_exposure double precision := p_controls -> 'exposure';
    -- None equals another, so that every step can tell them apart: even where nothing is known and all scores are 0.
    v_scores double precision [] := array(
        select s.score - 1e-12 * s.nth * s.scale
        from (
            select
                a.score, row_number() over (order by a.score desc) as nth,
                coalesce(nullif(max(abs(a.score)) over (), 0), 1) as scale
            from unnest(p_scores) as a (score)
        ) as s
        order by s.nth
    );
begin
    if v_novelty > 0 then
        v_scores := novel(p_run_no, p_item_nos, v_scores, v_novelty);
    end if;
    if v_calibration > 0 then
        v_scores := calibrated(
            p_run_no, p_user_no, p_item_nos, v_scores, p_n, v_calibration, p_controls ->> 'calibration_key'
        );
    end if;
    if v_diversity > 0 then
        v_scores := diversified(p_item_nos, v_scores, p_n, v_diversity, p_controls ->> 'diversity_method', p_run_no);
    end if;
    if v_exposure > 0 and p_slot is not null then
        v_scores := exposed(p_slot, p_item_nos, v_scores, v_exposure);
    end if;
    return v_scores;
end
$$;

comment on function recsql.reordered(integer, integer, text, jsonb, integer [], double precision [], integer) is
'What the controls of a request make of a pool, one step after the other: novelty, calibration, diversity, exposure. p_slot: whose '
'exposure ledger is read, null for none; p_item_nos: in the order in which the ranking policy '
'would show them; p_scores: theirs, of which the k-th largest counts as that of the k-th; p_controls: as slot_control gives them; p_n: length of '
'the list. The list is in the order of the result, the largest first.';
