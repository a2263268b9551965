-- recsql.cold_part: one row per item and component; unordered.
create function recsql.cold_part(
    p_run_no integer,
    p_policy_no integer,
    p_taste vector,
    p_personal_share double precision,
    p_item_nos integer []
)
returns table (item_no integer, component text, contribution double precision)
language sql
stable
begin atomic
    select t.item_no, 'trending', t.contribution
    from recsql.trend_part(p_run_no, p_policy_no, p_personal_share) as t
    where t.item_no = any(p_item_nos)
    union all
    select
        e.item_no,
        'cold content',
        recsql.content_scale(p_policy_no) * p_personal_share * (1 - (e.embedding <=> p_taste))
    from recsql.content_space as c
    inner join recsql.item_embedding as e on e.space_no = c.space_no and e.item_no = any(p_item_nos)
    where e.embedding <=> p_taste < 1;
end;

comment on function recsql.cold_part(integer, integer, vector, double precision, integer []) is
'What items are worth to a user where nothing is published of them, beside history_part: their trend, and, in component cold content, '
'their cosine with the user''s content_taste where that is above 0, times p_personal_share, on the scales that trends and contents have in the policy.';
