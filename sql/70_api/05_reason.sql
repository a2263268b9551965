-- recsql.reason: one clause; never null.
create function recsql.reason(p_run_no integer, p_user_no integer, p_item_no integer, p_component text)
returns text
language sql
stable
begin atomic
    select coalesce(
        (
            select o.reason || coalesce(' ' || evidence.title, '')
            from recsql.source as o
            left join lateral (
                select coalesce(t.title, t.item_id) as title
                from (
                    select i.item_no, recsql.step_weight(o.history_decay, o.history_rate, i.step) * i.weight as weight
                    from recsql.interaction as i
                    where
                        i.run_no = p_run_no and i.user_no = p_user_no and i.step < o.history_length
                        and not starts_with(p_component, 'live ')
                    union all
                    select e.item_no, recsql.step_weight(o.history_decay, o.history_rate, e.step::integer) * e.weight
                    from recsql.new_event(p_run_no, p_user_no) as e
                    where starts_with(p_component, 'live ') and e.step < 20
                ) as h
                inner join recsql.item_similarity as s
                    on s.run_no = p_run_no and s.neighbour_no = p_item_no and s.source_no = o.source_no
                    and s.item_no = h.item_no
                inner join recsql.item as t on t.item_no = h.item_no
                where o.kind = 'similarity'
                order by h.weight * s.similarity desc, h.item_no
                limit 1
            ) as evidence on true
            where o.source = split_part(p_component, ' ', -1)
        ),
        case p_component when 'new' then 'new here' when 'seen' then 'you know it; nothing new is left' else p_component end
    );
end;

comment on function recsql.reason(integer, integer, integer, text) is
'A readable clause for a recommendation: what the strongest component means, and the user''s item that speaks most for it.';
