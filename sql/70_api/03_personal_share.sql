-- recsql.personal_share
create function recsql.personal_share(p_run_no integer, p_user_no integer, p_had_weights double precision [])
returns double precision
language sql
stable
begin atomic
    select case
        when recsql.is_published_for(p_run_no, p_user_no) then 1
        else (
            select count(*) / (count(*) + 10.0::double precision) from unnest(p_had_weights) as w (weight) where w.weight > 0
        )
    end;
end;

comment on function recsql.personal_share(integer, integer, double precision []) is
'How much what a user had says against what is trending, from 0 to 1: n / (n + 10) for n items of positive weight, 1 where something '
'is published for the user. The 10 was chosen on validation (python -m benchmarks.cold_users --part validation).';
