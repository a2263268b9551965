-- recsql.user_segment: null for a user who lacks one of the attributes.
create function recsql.user_segment(p_attributes jsonb, p_keys text [])
returns jsonb
language sql
immutable
begin atomic
    select case
        when p_attributes ?& p_keys then (select jsonb_object_agg(k.key, p_attributes -> k.key) from unnest(p_keys) as k (key))
    end;
end;

comment on function recsql.user_segment(jsonb, text []) is
'The segment of a user: the part of the attributes that has the keys, all of which must be there.';
