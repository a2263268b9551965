-- recsql.prune_models: one row per model version that lost its artifact and vectors.
create function recsql.prune_models(p_keep integer default 2, p_dry_run boolean default false)
returns table (version_no integer, model text, run_no integer, n_bytes bigint)
language plpgsql
set search_path = recsql, pg_temp
-- Waiting for a reader would hold up all that come after: better to fail and be tried again.
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_version record;
begin
    for v_version in
        select v.version_no, m.model, v.run_no, r.fingerprint,
            coalesce(octet_length(v.artifact), 0) + coalesce(t.n_bytes, 0) as n_bytes
        from model_version as v
        inner join model as m on m.model_no = v.model_no
        left join run as r on r.run_no = v.run_no
        cross join lateral (
            select sum(pg_total_relation_size(x.vectors))::bigint as n_bytes
            from (
                values
                (to_regclass('recsql.item_vector_' || v.version_no)),
                (to_regclass('recsql.user_vector_' || v.version_no)),
                (to_regclass('recsql.state_vector_' || v.version_no)),
                (to_regclass('recsql.attribution_' || v.version_no))
            ) as x (vectors)
        ) as t
        where
            (v.artifact is not null or t.n_bytes is not null)
            and not exists (select from promoted_model as p where p.version_no = v.version_no)
            and not exists (select from embedding_space as s where s.version_no = v.version_no)
            and not exists (select from ranking_policy as q where q.version_no = v.version_no)
            and (r.run_no is null or r.state = 'pruned' or r.run_no in (select u.run_no from unkept_run(p_keep) as u))
        order by v.version_no
    loop
        -- Whoever is making the run holds this lock.
        continue when not pg_try_advisory_xact_lock(hashtextextended('recsql.run ' || v_version.fingerprint, 0));
        if not p_dry_run then
            execute format(
                'drop table if exists recsql.item_vector_%1$s, recsql.user_vector_%1$s, recsql.state_vector_%1$s, recsql.attribution_%1$s',
                v_version.version_no
            );
            update model_version set artifact = null, status = 'retired' where version_no = v_version.version_no;
            -- Should the run be wanted again, it goes on where the model is missing.
            delete from run_stage as g
            where
                g.run_no = v_version.run_no
                and g.started_at >= (
                    select t.started_at from run_stage as t where t.run_no = v_version.run_no and t.stage = 'train'
                );
            update run set state = 'failed', error = 'its model was pruned'
            where run_no = v_version.run_no and state <> 'pruned';
        end if;
        version_no := v_version.version_no;
        model := v_version.model;
        run_no := v_version.run_no;
        n_bytes := v_version.n_bytes;
        return next;
    end loop;
end
$$;

comment on function recsql.prune_models(integer, boolean) is
'Removes artifact and vectors of the model versions whose run neither is served or being made, nor is among those that prune_runs '
'keeps, promoted ones and those that a unified space or a ranking policy is made by aside; configuration, metrics and lists stay. Such a run counts as unfinished, and trains again should it be wanted. p_dry_run: '
'only tell. n_bytes: what artifact, vectors and their indexes take. Errors: RS002 p_keep is less than 1.';
