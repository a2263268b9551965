-- Bandits: a linear model of the reward that all items share, what each item differs by, and which impressions they have read.

create table recsql.bandit (
    ranking_policy_no integer primary key references recsql.ranking_policy on delete cascade,
    space_no integer references recsql.embedding_space on delete set null,
    center vector not null,
    projection vector [] not null,
    gram double precision [] not null,
    moment double precision [] not null,
    square double precision not null default 0,
    weight double precision not null default 0,
    n_outcomes bigint not null default 0,
    theta vector not null,
    spread vector [] not null,
    scale double precision not null,
    draws vector [] not null default '{}',
    noise double precision [] not null default '{}',
    faded_at timestamptz not null default now(),
    closed_until timestamptz not null default '-infinity',
    begun_at timestamptz not null default clock_timestamp(),
    swept_at timestamptz,
    swept_event_no bigint not null default 0,
    updated_at timestamptz
);
comment on table recsql.bandit is
'One row per ranking policy of kind bandit: the posterior of a linear model of the reward. space_no, center, projection: of what content '
'vector, less center, it reads inner products with projection. gram, moment, square, weight: weighted sums over the impressions that it '
'has read, of products of features, of features times reward, of squared rewards, and of 1, the effects of single items (bandit_item) '
'integrated out. theta: mean of the weights; spread: matrix whose product with features has the length that is their standard '
'deviation, in units of scale; draws, noise: of Thompson sampling, draws of the weights, and standard normal numbers for the effects of '
'items. n_outcomes: impressions read; faded_at: when the sums were last faded; closed_until: impressions up to then are done with; '
'begun_at: when it was made or began anew; swept_at, swept_event_no: all impressions of then, and events up to that number, have been '
'looked at.';

create table recsql.bandit_item (
    ranking_policy_no integer not null references recsql.bandit on delete cascade,
    item_no integer not null,
    weight double precision not null,
    total double precision not null,
    features double precision [] not null,
    shift vector not null,
    value double precision not null,
    variance double precision not null,
    primary key (ranking_policy_no, item_no)
);
comment on table recsql.bandit_item is
'One row per bandit and item that was shown: by what the item differs from what its features say. weight, total, features: sums over its '
'impressions of 1, reward and features; shift, value, variance: features and total over weight plus shrinkage, and 1 over that, which '
'scoring reads.';

create table recsql.bandit_impression (
    ranking_policy_no integer not null references recsql.bandit on delete cascade,
    request_id uuid not null,
    position smallint not null,
    item_no integer not null,
    at timestamptz not null,
    features double precision [],
    reward double precision not null,
    n_events integer not null,
    reason text,
    primary key (ranking_policy_no, request_id, position),
    check ((features is null) = (reason is not null))
);
create index bandit_impression_at_idx on recsql.bandit_impression (ranking_policy_no, at);
comment on table recsql.bandit_impression is
'One row per bandit and impression that it has read and for which outcomes may still come. reward: as it is counted now; n_events: events '
'that named the request when it was read; reason: why it is not counted, null where it is.';
