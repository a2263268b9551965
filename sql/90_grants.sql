-- Privileges: applications see recsql_api alone. Roles belong to the whole server, so where the migrating user may not
-- make them an administrator has to.
do $$
begin
    if not exists (select from pg_roles where rolname = 'recsql_reader') then
        create role recsql_reader nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'recsql_writer') then
        create role recsql_writer nologin;
    end if;
exception
    when insufficient_privilege or duplicate_object or unique_violation then
        raise notice 'roles recsql_reader and recsql_writer were not made: %', sqlerrm;
end
$$;

revoke all on all functions in schema recsql from public;
revoke all on all functions in schema recsql_api from public;

do $$
begin
    if exists (select from pg_roles where rolname = 'recsql_reader')
        and exists (select from pg_roles where rolname = 'recsql_writer')
    then
        grant usage on schema recsql_api to recsql_reader, recsql_writer;
        grant select on all tables in schema recsql_api to recsql_reader, recsql_writer;
        grant execute on function
            recsql_api.recommend, recsql_api.similar_items, recsql_api.similar_to_vector, recsql_api.trending,
            recsql_api.explain_recommendation, recsql_api.policy_estimate
        to recsql_reader, recsql_writer;
        -- Views call them, with the rights of whoever asks.
        grant execute on function
            recsql.faded, recsql.user_segment, recsql.session_step, recsql.experiment_estimate, recsql.gini,
            recsql.popularity_band, recsql.item_group, recsql.is_match, recsql.item_document
        to recsql_reader, recsql_writer;
        grant execute on function
            recsql_api.record_event, recsql_api.record_impressions, recsql_api.upsert_item
        to recsql_writer;
    end if;
end
$$;
