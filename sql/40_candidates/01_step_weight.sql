-- recsql.step_weight: weight of a history item that lies p_step steps back.
create function recsql.step_weight(p_decay text, p_rate real, p_step integer)
returns double precision
language sql
immutable
begin atomic
    select case p_decay
        when 'harmonic' then 1 / (1 + p_rate * p_step::double precision)
        when 'geometric' then power(p_rate::double precision, p_step)
        else 1
    end;
end;

comment on function recsql.step_weight(text, real, integer) is
'How much a user''s item counts that lies p_step steps back (0: the newest): harmonic 1 / (1 + rate × step), geometric rate ^ step.';
