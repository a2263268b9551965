-- recsql.check_method: true.
create function recsql.check_method(p_method text)
returns boolean
language plpgsql
stable
set search_path = recsql, pg_temp
as $$
begin
    if p_method = 'fused' or starts_with(p_method, 'fused {')
        or exists (select from source as s where s.source = p_method)
        or exists (select from fusion_policy as p where p.policy = p_method)
    then
        return true;
    end if;
    raise exception 'there is no method %', coalesce(p_method, 'null')
        using errcode = 'RS001', hint = 'A method is a source, fused, fused {CONTROLS}, or a fusion policy.';
end
$$;

comment on function recsql.check_method(text) is
'Refuses the name of a method that nothing is ranked by, which would look like one that finds nothing.';
