-- recsql.user_document: one JSON object; never null.
create function recsql.user_document(p_user_id text)
returns jsonb
language sql
stable
begin atomic
    select jsonb_build_object(
        'user_id', p_user_id,
        'attributes', coalesce((select u.attributes from recsql.app_user as u where u.user_id = p_user_id), '{}')
    );
end;

comment on function recsql.user_document(text) is
'What segments read of a user, who may be unknown and then has no attributes.';
