-- recsql.rule_pin: one row per position, from the first.
create function recsql.rule_pin(p_rules recsql.rule [], p_n integer)
returns table ("position" integer, item_no integer, rule text)
language sql
immutable
begin atomic
    select distinct on (p.position) p.position, p.item_no, p.rule
    from (
        select distinct on (r.item_no) r.item_no, r.position, r.rule, r.priority, r.rule_no
        from unnest(p_rules) as r
        where r.kind = 'pin' and r.position <= p_n
        order by r.item_no, r.priority desc, r.rule_no
    ) as p
    order by p.position, p.priority desc, p.rule_no;
end;

comment on function recsql.rule_pin(recsql.rule [], integer) is
'Which item stands at which of the first p_n positions by rules of kind pin: the first rule of each item, and of these the first of each position.';
