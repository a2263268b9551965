-- recsql_api.record_impressions: number of rows written.
create function recsql_api.record_impressions(
    p_request_id uuid, p_user_id text, p_item_ids text [], p_propensities real [] default null, p_policy text default null
)
returns integer
language plpgsql
security definer
set search_path = recsql, pg_temp
as $$
declare
    v_user_no integer;
    v_unknown text;
    v_rows integer;
begin
    if p_request_id is null or cardinality(p_item_ids) is null or not is_valid_id(p_user_id) then
        raise exception 'a request id, a user id and item ids are needed'
            using errcode = 'RS002', hint = 'The request id is the one that recommend() gave.';
    end if;
    if p_propensities is not null and cardinality(p_propensities) <> cardinality(p_item_ids) then
        raise exception '% propensities for % items', cardinality(p_propensities), cardinality(p_item_ids)
            using errcode = 'RS002', hint = 'Give one propensity an item, in the same order, or none at all.';
    end if;
    if exists (select from unnest(p_propensities) as p (value) where (p.value > 0 and p.value <= 1) is not true) then
        raise exception 'a propensity is not in (0, 1]' using errcode = 'RS002', hint = 'It is a probability, above zero.';
    end if;
    select s.item_id into v_unknown
    from unnest(p_item_ids) as s (item_id)
    where not exists (select from item as i where i.item_id = s.item_id)
    limit 1;
    if found then
        raise exception 'there is no item %', coalesce(v_unknown, 'null')
            using errcode = 'RS001', hint = 'Add it first with recsql_api.upsert_item.';
    end if;
    if cardinality(p_item_ids) <> (select count(distinct s.item_id) from unnest(p_item_ids) as s (item_id)) then
        raise exception 'an item is there twice'
            using errcode = 'RS002', hint = 'A request shows an item once, or no outcome could be told to be of one position.';
    end if;
    if exists (
        select from impression as m
        inner join app_user as u on u.user_no = m.user_no
        left join unnest(p_item_ids) with ordinality as s (item_id, position) on s.position = m.position
        left join item as i on i.item_id = s.item_id
        where m.request_id = p_request_id and (u.user_id <> p_user_id or m.item_no is distinct from i.item_no)
    ) then
        raise exception 'request % showed other items, or to somebody else', p_request_id
            using errcode = 'RS002', hint = 'A request is one list for one user: ask recommend() again for another one.';
    end if;
    insert into app_user (user_id) values (p_user_id) on conflict do nothing;
    select u.user_no into v_user_no from app_user as u where u.user_id = p_user_id;
    insert into impression (request_id, position, user_no, item_no, run_no, policy, propensity)
    select p_request_id, s.position, v_user_no, i.item_no, (select r.run_no from release as r where r.slot = 'default'),
        p_policy, p_propensities[s.position]
    from unnest(p_item_ids) with ordinality as s (item_id, position)
    inner join item as i on i.item_id = s.item_id
    on conflict do nothing;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function recsql_api.record_impressions(uuid, text, text [], real [], text) is
'Records which items were shown to a user, in the order of their positions from 1. p_request_id: from recommend(); p_user_id: '
'an unknown user is added; p_item_ids: in the order shown; p_propensities: probability of each item at its position, in (0, '
'1], or null for all where they are not known; p_policy: name of what chose them. Bandits and learned policies read them; ''recsql ope'' reads what '
'recommend() logged with its pool, which need not be recorded again. The run noted is the one that slot default serves. '
'Repeating it changes nothing. Returns the number of rows written. Errors: RS001 unknown item, RS002 arguments that do not '
'fit, or a request that is known with other items or another user.';
