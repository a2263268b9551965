-- recsql.is_new_domain
create function recsql.is_new_domain(p_domain text, p_had_nos integer [])
returns boolean
language sql
stable
begin atomic
    select
        p_domain is not null and p_had_nos <> '{}'
        and not exists (
            select from unnest(p_had_nos) as h (item_no)
            cross join lateral (select m.domain from recsql.item as m where m.item_no = h.item_no offset 0) as i
            where i.domain = p_domain
        );
end;

comment on function recsql.is_new_domain(text, integer []) is
'Whether a user who has had something has had nothing of a domain; false where no domain is asked for.';
