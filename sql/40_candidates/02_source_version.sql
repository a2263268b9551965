-- recsql.source_version: number of the model version, null where the source has none in the run.
create function recsql.source_version(p_run_no integer, p_source_no smallint)
returns integer
language sql
stable
begin atomic
    select max(v.version_no)
    from recsql.source as s
    inner join recsql.model as m on m.model = s.source
    inner join recsql.model_version as v on v.model_no = m.model_no and v.run_no = p_run_no
    where s.source_no = p_source_no;
end;

comment on function recsql.source_version(integer, smallint) is
'The newest version, trained in a run, of the model that a source is named after.';
