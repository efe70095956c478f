-- Who a log belongs to; null if it is the app's and was made before that was known. `server` is there for logs
-- that end with the server that created them.
alter table dialogue_rooms add column owner text;
alter table dialogue_rooms add column server text;

create index dialogue_rooms_by_server on dialogue_rooms (server) where server is not null;

-- When each server was last heard of: 0 once it has closed the store.
create table dialogue_servers (
    id text primary key,
    seen bigint not null
);

create index dialogue_servers_by_age on dialogue_servers (seen);
