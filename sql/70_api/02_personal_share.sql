-- recsql.personal_share
create function recsql.personal_share(p_weights double precision [])
returns double precision
language sql
immutable
begin atomic
    select count(*) / (count(*) + 4.0::double precision) from unnest(p_weights) as w (weight) where w.weight > 0;
end;

comment on function recsql.personal_share(double precision []) is
'How much what a user had says where nothing is published for the user, from 0 to 1, by the number n of items of positive weight: '
'n / (n + 4). The 4 was chosen on validation (python -m benchmarks.cold_users --part validation).';
