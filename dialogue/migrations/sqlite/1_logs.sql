create table dialogue_rooms (
    key integer primary key,
    id text not null unique,
    epoch text not null,
    seq integer not null
) strict;

-- What a log knows of each name that it ever had: `count` and `bytes` are of the events that are left.
create table dialogue_names (
    key integer primary key,
    room integer not null,
    event text not null,
    last integer not null,
    keep integer not null,
    count integer not null,
    bytes integer not null,
    unique (room, event)
) strict;

create table dialogue_events (
    id integer primary key,
    room integer not null,
    name integer not null,
    seq integer not null,
    prev integer not null,
    sender text not null,
    at integer not null,
    data text not null,
    meta text,
    unique (room, seq)
) strict;

create index dialogue_events_by_name on dialogue_events (name, seq);
create index dialogue_events_by_age on dialogue_events (at);

create table dialogue_keys (
    id integer primary key,
    room integer not null,
    owner text not null,
    key text not null,
    digest blob not null,
    seq integer not null,
    prev integer not null,
    at integer not null,
    unique (room, owner, key)
) strict;

create index dialogue_keys_by_age on dialogue_keys (at);
