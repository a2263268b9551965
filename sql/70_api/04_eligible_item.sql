-- recsql.eligible_item: one row per item that may be recommended to the user now.
create function recsql.eligible_item(
    p_run_no integer,
    p_user_no integer,
    p_new_nos integer [],
    p_domain text,
    p_filter jsonb,
    p_exclude integer [],
    p_rule_path jsonpath default null,
    p_rule_vars jsonb default null
)
returns table (item_no integer, published_at timestamptz)
language sql
stable
begin atomic
    select i.item_no, i.published_at
    from recsql.item as i
    inner join recsql.domain as d on d.domain = i.domain
    where
        i.available
        and (p_domain is null or i.domain = p_domain)
        and (p_filter is null or i.attributes @> p_filter)
        and i.item_no <> all (p_exclude)
        and recsql.is_match(i, p_rule_path, p_rule_vars)
        and (
            d.allows_repeat
            or (
                i.item_no <> all (p_new_nos)
                and not exists (
                    select from recsql.interaction as n
                    where n.run_no = p_run_no and n.user_no = p_user_no and n.item_no = i.item_no
                )
            )
        );
end;

comment on function recsql.eligible_item(integer, integer, integer [], text, jsonb, integer [], jsonpath, jsonb) is
'The items that may be shown: available, of the domain and with the attributes that are asked for (null: any), not excluded, allowed by the rules '
'that filter (rule_filter; null: none), and not known to the user, neither to the run nor among p_new_nos, unless the domain allows repeats.';
