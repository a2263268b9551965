-- recsql.content_space: the space that content candidates use; no row where there is none.
create view recsql.content_space as
select
    s.space_no,
    s.space,
    s.dim
from recsql.embedding_space as s
where s.status = 'active'
order by s.modality <> 'unified', s.modality <> 'text', s.space_no
limit 1;

comment on view recsql.content_space is 'One row: the active space in which items are compared by content: the unified one where there is one, else that of text, else '
'that of another modality.';
