do $$
declare
    v_space_no integer;
begin
    for v_space_no in select s.space_no from recsql.embedding_space as s where s.modality = 'unified' loop
        execute format('drop table if exists recsql.item_embedding_%s', v_space_no);
    end loop;
end
$$;
delete from recsql.embedding_space where modality = 'unified';
drop index recsql.embedding_space_active_idx;
alter table recsql.embedding_space drop constraint embedding_space_unified_check;
alter table recsql.embedding_space drop column source_nos;
alter table recsql.embedding_space drop column version_no;
alter table recsql.embedding_space drop constraint embedding_space_modality_check;
alter table recsql.embedding_space add constraint embedding_space_modality_check
check (modality in ('text', 'image', 'audio'));
comment on table recsql.embedding_space is
'One row per space of vectors: a modality seen by one revision of one model. Vectors of two spaces never meet.';
drop table recsql.embedding_provider;
drop sequence recsql.embedding_worker_no;
alter table recsql.run drop column newcomer_nos;
comment on table recsql.run is
'One row per execution of the pipeline; split_no null for production. fingerprint: digest of all that it reads; policy_no: how '
'it was fused; state pruned: its rows are gone, its figures are kept.';
drop index recsql.item_created_idx;
drop table recsql.embedding_task;
