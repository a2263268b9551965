-- recsql.switch_embedding_space: name of the space whose place it takes, null where there was none.
create function recsql.switch_embedding_space(p_space text, p_min_coverage double precision default 0.99)
returns text
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_space embedding_space := locked_space(p_space);
    v_before embedding_space;
    v_coverage double precision;
begin
    select * into v_before from embedding_space as s where s.modality = v_space.modality and s.status = 'active';
    if v_before.space_no = v_space.space_no then
        return v_before.space;
    end if;
    -- What has come since it was retired counts as well.
    update embedding_space as s set status = 'building' where s.space_no = v_space.space_no;
    select
        count(*) filter (where e.content_hash = c.content_hash or f.content_hash = c.content_hash)::double precision
        / nullif(count(*), 0)
    into v_coverage
    from embeddable as c
    left join item_embedding as e on e.space_no = c.space_no and e.item_no = c.item_no
    left join embedding_failure as f on f.space_no = c.space_no and f.item_no = c.item_no
    where c.space_no = v_space.space_no;
    if coalesce(v_coverage, 0) < p_min_coverage then
        raise exception 'space % has vectors of % %% of what it is to embed', p_space, round(100 * coalesce(v_coverage, 0)::numeric, 1)
            using errcode = 'RS004',
            hint = case
                when v_space.status = 'retired' then 'It is retired: ''recsql space add'', with the same model, embeds it again.'
                else 'Wait until its items are embedded (''recsql embed'', recsql_api.embedding_progress), or ask for less coverage.'
            end;
    end if;
    update embedding_space as s
    set
        status = case
            -- A unified space needs vectors of new items from those that it unites.
            when exists (
                select from embedding_space as u where u.status <> 'retired' and v_before.space_no = any(u.source_nos)
            ) then 'building'
            else 'retired'
        end
    where s.space_no = v_before.space_no;
    update embedding_space as s set status = 'active' where s.space_no = v_space.space_no;
    perform queue_embedding(null, array[v_space.modality]);
    delete from embedding_task as t
    using embedding_space as s
    where t.space_no = s.space_no and s.status = 'retired';
    return v_before.space;
end
$$;

comment on function recsql.switch_embedding_space(text, double precision) is
'Serves a space in place of its modality''s active one, which is retired: kept as it is, to switch back to, but not embedded any more, unless another space unites it. '
'p_min_coverage: share of the items with content that must have been embedded, or have failed. Errors: RS001 no such space, RS004 '
'too few vectors.';
