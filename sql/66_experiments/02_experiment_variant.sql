-- recsql.experiment_variant: at most one row.
create function recsql.experiment_variant(p_slot text, p_user_id text)
returns setof recsql.variant
language sql
stable
rows 1
begin atomic
    select v.*
    from (
        select e.experiment_no, e.traffic, recsql.user_draws(e.salt, p_user_id) as draws
        from recsql.experiment as e
        where e.slot = p_slot and e.state = 'running'
    ) as d
    cross join lateral (
        select
            a.variant_no,
            sum(a.weight) over (order by a.variant_no) - a.weight as before,
            sum(a.weight) over () as total
        from recsql.variant as a
        where a.experiment_no = d.experiment_no
    ) as s
    inner join recsql.variant as v on v.variant_no = s.variant_no
    where d.draws[1] < d.traffic and s.before <= d.draws[2] * s.total
    order by s.variant_no desc
    limit 1;
end;

comment on function recsql.experiment_variant(text, text) is
'The variant by which a user is served in a slot; no row where no experiment runs there, or the user is not of its traffic. By the hash of the '
'user''s id and the experiment''s salt alone, so that it is the same at every request, for whoever asks, and nothing needs to be written.';
