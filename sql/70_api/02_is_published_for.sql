-- recsql.is_published_for
create function recsql.is_published_for(p_run_no integer, p_user_no integer)
returns boolean
language sql
stable
begin atomic
    select exists (select from recsql.recommendation as r where r.run_no = p_run_no and r.user_no = p_user_no);
end;

comment on function recsql.is_published_for(integer, integer) is 'Whether a run has a list for a user.';
