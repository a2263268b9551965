-- recsql.user_draws: two numbers from 0, below 1.
create function recsql.user_draws(p_salt text, p_user_id text)
returns double precision []
language sql
immutable
begin atomic
    select array_agg(
        ('x' || substr(h.digest, d.begins, 13))::bit(52)::bigint / 4503599627370496.0::double precision order by d.begins
    )
    from (select encode(sha256(convert_to(p_salt || ' ' || p_user_id, 'UTF8')), 'hex') as digest) as h
    cross join (values (1), (14)) as d (begins);
end;

comment on function recsql.user_draws(text, text) is
'Two independent numbers, uniform in [0, 1), of a user in an experiment: whether he takes part, and in which variant. The same whenever '
'they are asked for; those of another salt tell nothing of them.';
