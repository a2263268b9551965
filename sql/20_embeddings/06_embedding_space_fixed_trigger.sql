-- Trigger embedding_space_fixed.
create trigger embedding_space_fixed
before update on recsql.embedding_space
for each row
when (
    (old.space_no, old.modality, old.model, old.revision, old.dim)
    is distinct from (new.space_no, new.modality, new.model, new.revision, new.dim)
)
execute function recsql.embedding_space_fixed();

comment on trigger embedding_space_fixed on recsql.embedding_space is
'What a space''s vectors were made by never changes, so that one index holds vectors of one model.';
