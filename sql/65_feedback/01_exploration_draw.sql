-- recsql.exploration_draw: from 0, below 1.
create function recsql.exploration_draw(p_request_id uuid, p_position integer)
returns double precision
language sql
immutable
begin atomic
    select ('x' || substr(encode(sha256(convert_to(p_request_id || ' ' || p_position, 'UTF8')), 'hex'), 1, 13))::bit(52)::bigint
        / 4503599627370496.0::double precision;
end;

comment on function recsql.exploration_draw(uuid, integer) is
'The number, uniform in [0, 1), that decides a position of a request: the same whenever it is asked for, so that what was shown can be '
'checked by the request''s id alone.';
