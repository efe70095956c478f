-- Logs that began without an event, and when: one that has none ten minutes later is deleted.
create table dialogue_empty_logs (
    room bigint primary key,
    at bigint not null
);

create index dialogue_empty_logs_by_age on dialogue_empty_logs (at);
