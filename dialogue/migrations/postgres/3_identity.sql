-- Which database server this is, and on which timeline: another one may lack events that were acknowledged.
-- `generation` counts how often that was found to have changed. Whoever restores the database into the server that
-- it came from adds one to it.
create table dialogue_identity (
    one boolean primary key check (one),
    identity text not null,
    generation bigint not null
);

insert into dialogue_identity (one, identity, generation) values (true, '', 0);

-- The generation that a log's epoch is of: with the generation, the epoch ends.
alter table dialogue_rooms add column generation bigint not null default 0;
