-- recsql.activity_kind: one row per kind of event.
create view recsql.activity_kind as
select
    k.kind_no,
    round(k.weight::numeric * 1000000)::bigint as weight,
    case
        when k.half_life is not null then least(greatest(round(extract(epoch from k.half_life) / 3600), 1), 10000000)
    end::integer as half_life
from recsql.event_kind as k
-- Worked out once a kind, not once a bucket that it is joined with.
offset 0;

comment on view recsql.activity_kind is
'One row per kind of event, in whole numbers, so that sums do not depend on their order: weight in millionths, half_life in '
'hours, at least one, null for never.';
