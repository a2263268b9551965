-- recsql.refresh_interaction: number of rows written.
create function recsql.refresh_interaction(p_run_no integer)
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set work_mem = '256MB'
as $$
declare
    v_partition text := add_list_partition('interaction', p_run_no);
    v_rows bigint;
    v_now timestamptz;
begin
    execute format('truncate recsql.%I', v_partition);
    -- Ages count from the newest event, so that a catalogue of the past is judged as on its last day.
    select max(v.at) into v_now from visible_event(p_run_no) as v;
    insert into interaction (run_no, user_no, item_no, step, weight, rating, n_events, at, event_no, kind_no)
    with kind as (
        select k.*, row_number() over (order by k.weight, k.kind_no) as strength
        from event_kind as k
    ),

    weighted as (
        select
            v.user_no,
            v.item_no,
            v.at,
            v.event_no,
            k.weight as kind_weight,
            k.strength,
            k.weight * faded(v_now - v.at, k.half_life)::real as weight,
            case when k.is_rating then v.value end as rating
        from visible_event(p_run_no) as v
        inner join kind as k on k.kind_no = v.kind_no
    ),

    pairs as (
        select
            w.user_no,
            w.item_no,
            sum(w.weight) as weight,
            max(w.kind_weight) as strongest,
            min(w.kind_weight) as weakest,
            max(w.strength) as strength,
            avg(w.rating) as rating,
            count(*) as n_events,
            max(w.at) as at,
            max(w.event_no) as event_no
        from weighted as w
        group by w.user_no, w.item_no
    ),

    -- What spoke for the item and what against it fade at different rates, so which of them outweighs the other, and by which share
    -- of its own, is that of a fixed moment, the newest event of the two: no time that passes and no event of others changes it.
    mixed as (
        select
            m.user_no,
            m.item_no,
            m.pro_then + m.con_then > 0 as is_positive,
            case
                when m.pro_then + m.con_then > 0 then m.pro_now * (1 + m.con_then / m.pro_then)
                else m.con_now * (1 + m.pro_then / m.con_then)
            end as weight
        from (
            select
                p.user_no,
                p.item_no,
                sum(k.weight * faded(p.at - v.at, k.half_life)) filter (where k.weight > 0) as pro_then,
                sum(k.weight * faded(p.at - v.at, k.half_life)) filter (where k.weight < 0) as con_then,
                sum(k.weight * faded(v_now - v.at, k.half_life)) filter (where k.weight > 0) as pro_now,
                sum(k.weight * faded(v_now - v.at, k.half_life)) filter (where k.weight < 0) as con_now
            from pairs as p
            inner join visible_event(p_run_no) as v on v.user_no = p.user_no and v.item_no = p.item_no
            inner join event_kind as k on k.kind_no = v.kind_no
            where p.strongest > 0 and p.weakest < 0
            group by p.user_no, p.item_no
        ) as m
    ),

    judged as (
        select p.user_no, p.item_no, p.strength, p.rating, p.n_events, p.at, p.event_no,
            coalesce(m.weight, p.weight)::real as weight,
            coalesce(m.is_positive, p.strongest > 0) as is_positive
        from pairs as p
        left join mixed as m on m.user_no = p.user_no and m.item_no = p.item_no
    ),

    normalised as (
        select
            p.user_no,
            p.item_no,
            p.weight,
            (p.rating - avg(p.rating) over by_user) / nullif(stddev_samp(p.rating) over by_user, 0) as rating,
            p.n_events,
            p.at,
            p.event_no,
            p.strength,
            case
                when p.is_positive
                    then row_number() over (partition by p.user_no, p.is_positive order by p.at desc, p.event_no desc) - 1
            end as step
        from judged as p
        window by_user as (partition by p.user_no)
    )

    select p_run_no, n.user_no, n.item_no, n.step, n.weight, n.rating, n.n_events, n.at, n.event_no, k.kind_no
    from normalised as n
    inner join kind as k on k.strength = n.strength
    order by n.user_no, n.step;
    get diagnostics v_rows = row_count;
    execute format('analyze recsql.%I', v_partition);
    perform refresh_user_sequence(p_run_no);
    return v_rows;
end
$$;

comment on function recsql.refresh_interaction(integer) is
'Writes what a run may know of each user and item, from the events that it may see: summed weight with age (repeats add up), '
'normalised rating, and how many steps back it is. In the sequence are items whose weights, with their ages at the user''s newest '
'event with the item, sum to more than 0: one that was disliked as strongly as liked is not. The weight of an item that something spoke for '
'and something against is what is left today of the side that outweighs the other, times the share by which it did so then, so that what is in the '
'sequence never weighs less than 0. Writes user_sequence too. Replaces the run''s earlier rows. '
'Returns the number of rows.';
