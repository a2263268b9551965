-- recsql.faded: from 0 to 1.
create function recsql.faded(p_age interval, p_half_life interval)
returns double precision
language sql
immutable
begin atomic
    -- Below 2^-60 a weight is nothing; without the bound it would underflow for events of long ago.
    select case
        when p_half_life is null then 1
        else power(0.5::double precision, least(60, extract(epoch from p_age) / extract(epoch from p_half_life))::double precision)
    end;
end;

comment on function recsql.faded(interval, interval) is
'What is left of the weight of an event of an age: it halves at each half-life, null for never.';
