-- recsql.embedding_space_fixed: function of the trigger of that name.
create function recsql.embedding_space_fixed()
returns trigger
language plpgsql
set search_path = recsql, pg_temp
as $$
begin
    raise exception 'space % keeps its modality, model, revision and dimensions', old.space
        using errcode = 'RS004', hint = 'Vectors of two models never meet: give the new model a space of its own.';
end
$$;

comment on function recsql.embedding_space_fixed() is 'Refuses the update of a space.';
