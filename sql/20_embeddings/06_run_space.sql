-- recsql.run_space: the space in which a run compares items by content; no row where there is none.
create function recsql.run_space(p_run_no integer)
returns setof recsql.content_space
language sql
stable
begin atomic
    select s.space_no, s.space, s.dim
    from recsql.run as r
    inner join recsql.embedding_space as s on s.status = 'active'
    left join recsql.model_version as v on v.version_no = s.version_no
    left join recsql.run as t on t.run_no = v.run_no
    where
        r.run_no = p_run_no
        -- A projection that has learned from what came after a cut would tell an offline run of it.
        and (s.version_no is null or r.split_no is null or t.split_no = r.split_no)
    order by s.modality <> 'unified', s.modality <> 'text', s.space_no
    limit 1;
end;

comment on function recsql.run_space(integer) is
'One row, as content_space: but an offline run uses a unified space only where its projections were trained on a run of the same '
'split, else what pretrained models alone say of the items.';
