-- recsql.check_fusion_policy: function of the trigger of that name.
create function recsql.check_fusion_policy()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_sources text := (select 'Sources are ' || string_agg(s.source, ', ' order by s.source_no) || '.' from source as s);
    v_name text := fusion_config_reason(new.kind, new.config);
begin
    if v_name is not null then
        raise exception 'policy % cannot be executed: %', new.policy, v_name
            using errcode = 'RS002', hint = 'docs/fusion.md has an example of every kind.';
    end if;
    if exists (select from source as s where s.source = new.policy) then
        raise exception '% is the name of a source', new.policy
            using errcode = 'RS002', hint = 'Give the policy another name, so that it is clear which one is meant.';
    end if;
    if new.policy in ('fused', 'weighted', 'ranker') or new.policy ~ '^(fused \{|weighted by )' then
        raise exception '% is what metrics and recsql fusion compare call something else', new.policy
            using errcode = 'RS002', hint = 'Give the policy another name: fused is what a run made, weighted and ranker what is learnt on it.';
    end if;
    if new.policy = 'no release' or exists (select from ranking_policy as r where r.policy = new.policy) then
        raise exception '% is what requests are logged by otherwise', new.policy
            using errcode = 'RS002', hint = 'Give the policy a name that no ranking policy has: recsql policy list.';
    end if;

    select r.name into v_name
    from fusion_reference(new.kind, new.config) as r
    where
        not exists (select from source as s where s.source = r.name)
        and not exists (select from fusion_policy as f where f.policy = r.name and f.policy_no <> new.policy_no)
    limit 1;
    if found then
        raise exception 'policy % names %, which is neither a source nor another policy', new.policy, v_name
            using errcode = 'RS001',
            hint = v_sources || ' Policies are '
            || (select string_agg(f.policy, ', ' order by f.policy_no) from fusion_policy as f) || '.';
    end if;
    with recursive reached as (
        select r.name from fusion_reference(new.kind, new.config) as r
        union
        select n.name
        from reached as r
        inner join fusion_policy as f on f.policy = r.name
        cross join lateral fusion_reference(f.kind, f.config) as n
    )

    select r.name into v_name
    from reached as r
    left join fusion_policy as f on f.policy = r.name
    where r.name = new.policy or f.kind = 'ranker'
    limit 1;
    if v_name = new.policy then
        raise exception 'policy % would be put together from itself', new.policy
            using errcode = 'RS002', hint = 'Follow the names in its config: one of them leads back to it.';
    elsif found then
        raise exception 'policy % cannot be put together from %, a ranker', new.policy, v_name
            using errcode = 'RS002', hint = 'A ranker is executed by a worker, after SQL has fused.';
    end if;
    if new.kind = 'switching' then
        select b.branch ->> 'domain' into v_name
        from jsonb_array_elements(new.config -> 'branches') as b (branch)
        where not exists (select from domain as d where d.domain = b.branch ->> 'domain') and b.branch ? 'domain'
        limit 1;
        if found then
            raise exception 'policy % switches by domain %, which does not exist', new.policy, v_name
                using errcode = 'RS001',
                hint = (select 'Domains are ' || string_agg(d.domain, ', ' order by d.domain) || '.' from domain as d);
        end if;
    end if;

    if coalesce(new.weights, '{}') = '{}' then
        new.weights := fusion_weights(new.kind, new.config);
    end if;
    select w.key into v_name
    from jsonb_each(new.weights) as w
    where not exists (select from source as s where s.source = w.key)
    limit 1;
    if found then
        raise exception 'policy % weighs %, which is no source', new.policy, v_name
            using errcode = 'RS001', hint = v_sources;
    end if;
    select format('%s of %s', w.value, w.key) into v_name
    from jsonb_each(new.weights) as w
    where case jsonb_typeof(w.value) when 'number' then w.value::numeric not between 0 and 1e9 else true end
    limit 1;
    if found then
        raise exception 'policy % has weight %', new.policy, v_name
            using errcode = 'RS002', hint = 'Weights are numbers from 0 to 1e9; 0 leaves a source out.';
    end if;
    if not exists (select from jsonb_each_text(new.weights) as w where w.value::double precision > 0) then
        raise exception 'policy % gives no source a weight above 0', new.policy
            using errcode = 'RS002', hint = 'Weigh at least one source. ' || v_sources;
    end if;
    return new;
end
$$;

comment on function recsql.check_fusion_policy() is
'Refuses fusion policies that cannot be executed, and weighs the sources of those that come without weights (fusion_weights).';
