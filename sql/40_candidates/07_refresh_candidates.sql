-- recsql.refresh_candidates: number of candidates.
create function recsql.refresh_candidates(
    p_run_no integer, p_source text, p_first_user_no integer, p_last_user_no integer, p_n integer default 150
)
returns bigint
language plpgsql
set search_path = recsql, public, pg_temp
set work_mem = '256MB'
as $$
declare
    v_source source;
    v_rows bigint;
begin
    select * into v_source from source where source = p_source;
    if not found then
        raise exception 'there is no source %', p_source
            using errcode = 'RS001',
            hint = (select 'Sources are ' || string_agg(source, ', ' order by source_no) || '.' from source);
    end if;
    delete from candidate
    where
        run_no = p_run_no and source_no = v_source.source_no
        and user_no between p_first_user_no and p_last_user_no;
    if v_source.kind = 'score' then
        return 0;
    end if;
    -- By execute, so that the plan is made for the numbers at hand.
    execute format($sql$
        with found as (
            insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores)
            select
                $1,
                s.user_no,
                $2,
                array_agg(s.item_no order by s.score desc, s.item_no),
                array_agg(s.score::real order by s.score desc, s.item_no)
            from recsql.%I($1, $2, $3, $4, $5) as s
            group by s.user_no
            returning cardinality(item_nos) as n_items
        )

        select coalesce(sum(f.n_items), 0) from found as f
    $sql$, v_source.kind || '_candidates')
    into v_rows
    using p_run_no, v_source.source_no, p_first_user_no, p_last_user_no, p_n;
    return v_rows;
end
$$;

comment on function recsql.refresh_candidates(integer, text, integer, integer, integer) is
'Writes the p_n best candidates of one source for a range of user_no, replacing those that were there. Offline runs use exact '
'vector search. Returns the number of candidates, 0 for a source of kind score, which proposes nothing. Errors: RS001 unknown '
'source.';
