create table dialogue_rooms (
    key bigint generated always as identity primary key,
    id text not null unique,
    epoch text not null,
    seq bigint not null
) with (fillfactor = 70);

-- What a log knows of each name that it ever had: `count` and `bytes` are of the events that are left,
-- `prev` is what `last` was before the latest append.
create table dialogue_names (
    key bigint generated always as identity primary key,
    room bigint not null,
    event text not null,
    last bigint not null,
    prev bigint not null,
    keep bigint not null,
    count bigint not null,
    bytes bigint not null,
    unique (room, event)
) with (fillfactor = 70);

-- JSON is kept as it was written: `jsonb` would change numbers, drop keys and refuse `\u0000`.
create table dialogue_events (
    room bigint not null,
    seq bigint not null,
    name bigint not null,
    prev bigint not null,
    sender text not null,
    at bigint not null,
    data text not null,
    meta text,
    primary key (room, seq)
);

create index dialogue_events_by_name on dialogue_events (name, seq);
create index dialogue_events_by_age on dialogue_events (at);

create table dialogue_keys (
    room bigint not null,
    owner text not null,
    key text not null,
    digest bytea not null,
    seq bigint not null,
    prev bigint not null,
    at bigint not null,
    constraint dialogue_keys_once primary key (room, owner, key)
);

create index dialogue_keys_by_age on dialogue_keys (at);
