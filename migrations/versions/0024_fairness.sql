-- By which attributes fairness is measured, what was found, and the prices that control exposure.

create table recsql.fairness_key (
    side text not null check (side in ('user', 'item')),
    key text not null check (key <> ''),
    primary key (side, key)
);
comment on table recsql.fairness_key is
'One row per attribute whose values make the groups that runs are measured by. side user: an attribute of users; side item: popularity (head, '
'mid and tail), domain, tags, or an attribute of items that is one value or an array. Rows, not code.';
insert into recsql.fairness_key (side, key)
values
('user', 'gender'),
('user', 'age_group'),
('item', 'popularity'),
('item', 'domain'),
('item', 'genres');

create table recsql.user_group_fairness (
    run_no integer not null references recsql.run on delete cascade,
    method text not null,
    key text not null,
    user_group text not null,
    metric text not null,
    k smallint not null,
    value double precision not null,
    lo double precision not null,
    hi double precision not null,
    n_users integer not null,
    evaluated_at timestamptz not null default now(),
    primary key (run_no, method, key, user_group, metric, k)
);
comment on table recsql.user_group_fairness is
'One row per run, method, key, group of users and metric, with the 95 % bootstrap interval over its users. user_group: a value of the attribute '
'key; metric ndcg_gap and recall_gap: the best group less the worst, under user_group ''best - worst''.';

create table recsql.item_group_fairness (
    run_no integer not null references recsql.run on delete cascade,
    method text not null,
    key text not null,
    item_group text not null,
    k smallint not null,
    n_items integer not null,
    exposure_share double precision not null,
    relevance_share double precision not null,
    catalogue_share double precision not null,
    evaluated_at timestamptz not null default now(),
    primary key (run_no, method, key, item_group, k)
);
comment on table recsql.item_group_fairness is
'One row per run, method, key and group of items: its share of the exposure, of what was relevant, and of the catalogue.';

create table recsql.exposure_ledger (
    slot text primary key check (slot <> ''),
    counted_until timestamptz not null default '-infinity'
);
comment on table recsql.exposure_ledger is
'One row per slot whose exposure is accounted for: impressions up to counted_until are in recsql.exposure_price.';

create table recsql.exposure_price (
    slot text not null references recsql.exposure_ledger on delete cascade,
    item_no integer not null references recsql.item on delete cascade,
    exposure double precision not null check (exposure >= 0),
    target double precision not null check (target >= 0),
    price double precision not null check (price between 0 and 1),
    primary key (slot, item_no)
);
comment on table recsql.exposure_price is
'One row per slot and item that was shown of late. exposure: its impressions, each 1 / log2(1 + position), halved every half-life; target: what '
'each item would have if all had the same; price: what recsql.exposed charges for showing it, 0 for what is hardly shown, 1 for what is shown most.';
create index exposure_price_item_idx on recsql.exposure_price (item_no);
