-- recsql.forget_embedding: number of vectors that went.
create function recsql.forget_embedding(p_item_nos integer [])
returns bigint
language plpgsql
set search_path = recsql, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    v_gone integer[];
begin
    -- Made once of these items alone: a condition on the view would be met by hashing the whole catalogue.
    with content as materialized (
        select c.space_no, c.item_no, c.content_hash from embeddable as c where c.item_no = any(p_item_nos)
    ),

    -- A task for content that came and went, or that was undone before it was embedded.
    needless as (
        delete from embedding_task as t
        where
            t.item_no = any(p_item_nos)
            and not exists (
                select from content as c
                left join item_embedding as e on e.space_no = c.space_no and e.item_no = c.item_no
                where
                    c.space_no = t.space_no and c.item_no = t.item_no and c.content_hash = t.content_hash
                    and e.content_hash is distinct from c.content_hash
            )
    ),

    outdated as (
        delete from embedding_failure as f
        where
            f.item_no = any(p_item_nos)
            and not exists (
                select from content as c
                where c.space_no = f.space_no and c.item_no = f.item_no and c.content_hash = f.content_hash
            )
    ),

    gone as (
        delete from item_embedding as e
        using embedding_space as s
        where
            s.space_no = e.space_no and s.modality <> 'unified' and e.item_no = any(p_item_nos)
            and not exists (select from content as c where c.space_no = e.space_no and c.item_no = e.item_no)
            -- What a retired space has is kept as it was, unless there is no such item any more.
            and (s.status <> 'retired' or not exists (select from item as i where i.item_no = e.item_no))
        returning e.item_no
    )

    select array_agg(distinct g.item_no) into v_gone from gone as g;
    if v_gone is not null then
        with content as materialized (
            select c.space_no, c.item_no from embeddable as c where c.item_no = any(v_gone) and c.modality = 'unified'
        )

        delete from item_embedding as e
        using embedding_space as s
        where
            s.space_no = e.space_no and s.modality = 'unified' and e.item_no = any(v_gone)
            and not exists (select from content as c where c.space_no = e.space_no and c.item_no = e.item_no);
        perform queue_embedding(v_gone, array['unified']);
    end if;
    return coalesce(cardinality(v_gone), 0);
end
$$;

comment on function recsql.forget_embedding(integer []) is
'Takes away what stands for content that these items do not have any more: vectors of items without content, tasks and failures '
'of content that has changed.';
