-- recsql.note_content: function of the triggers that watch item and item_media; reads their transition tables.
create function recsql.note_content()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
declare
    v_modalities text[] := case tg_table_name when 'item' then '{text}' else '{image,audio}' end;
    v_item_nos integer[];
begin
    if not exists (select from embedding_space) then
        return null;
    end if;
    if tg_op = 'INSERT' then
        select array_agg(distinct c.item_no) into v_item_nos from changed as c;
    elsif tg_table_name = 'item' and tg_op = 'UPDATE' then
        -- Columns that templates read; another one's change is none of content.
        select array_agg(c.item_no) into v_item_nos
        from changed as c
        inner join former as o on o.item_no = c.item_no
        where (o.title, o.body, o.tags) is distinct from (c.title, c.body, c.tags);
    elsif tg_op = 'UPDATE' then
        select array_agg(distinct c.item_no) into v_item_nos
        from (select n.item_no from changed as n union all select o.item_no from former as o) as c;
    else
        select array_agg(distinct c.item_no) into v_item_nos from former as c;
    end if;
    if v_item_nos is null then
        return null;
    end if;
    if tg_op <> 'INSERT' then
        perform forget_embedding(v_item_nos);
    end if;
    if not (tg_table_name = 'item' and tg_op = 'DELETE') then
        perform queue_embedding(v_item_nos, v_modalities);
    end if;
    return null;
end
$$;

comment on function recsql.note_content() is
'Queues items whose content came, changed or went, in the transaction in which it did (queue_embedding, forget_embedding).';
