//! What every store does, as tests: for stores of your own.
//!
//! ```no_run
//! # async fn open() -> dialogue::store::Memory { dialogue::store::Memory::new() }
//! #[tokio::test(flavor = "multi_thread")]
//! async fn my_store_is_a_store() {
//!     dialogue::store::conformance::check(&open().await).await;
//! }
//! ```
//!
//! Each part panics with what is wrong. Rooms are named anew each time, so a store may be used for
//! several runs. That keys are forgotten after two minutes, that what is stored outlives the process, and that
//! the logs of creations do not outlive their server by long, is left to tests of your own.

use std::{borrow::Cow, num::NonZeroUsize, sync::Arc};

use futures_util::future::join_all;
use serde_json::value::to_raw_value;

use super::{
    Appended, Batch, Created, Head, Key, KeyUse, LogId, NewEvent, Owner, Page, Part, Query, Store,
    Stored,
};
use crate::{Epoch, Position, RawMessage};

/// Runs everything.
pub async fn check(store: &impl Store) {
    an_unknown_room_has_nothing(store).await;
    events_get_their_places(store).await;
    what_is_stored_comes_back_as_it_was(store).await;
    a_log_keeps_its_epoch_until_it_is_deleted(store).await;
    a_log_goes_on_in_another_epoch(store).await;
    a_key_appends_once(store).await;
    keys_in_one_batch_append_once(store).await;
    parts_are_read_as_asked(store).await;
    pages_are_bounded(store).await;
    as_many_are_kept_as_declared(store).await;
    rooms_are_apart(store).await;
    a_log_belongs_to_its_owner_alone(store).await;
    a_creations_log_does_not_begin_by_itself(store).await;
    of_many_creations_at_once_one_is_the_rooms(store).await;
    log_that_begins_empty_has_one_epoch(store).await;
    many_at_once_get_places_of_their_own(store).await;
    a_store_that_works_is_ready(store).await;
}

const NONE: [u64; 0] = [];

/// An id that no room ever had.
fn room() -> Arc<str> {
    format!("conformance:{}:\u{1F980}", Epoch::random()).into()
}

fn event(room: &Arc<str>, name: &'static str, n: u64) -> NewEvent {
    let data = to_raw_value(&n).expect("a number is JSON");
    let mut message = RawMessage::new(name, room.clone(), data);
    message.timestamp = now();
    NewEvent { message, keep: NonZeroUsize::new(1_000).expect("not zero"), key: None }
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| u64::try_from(now.as_millis()).ok()).expect("a clock that is set")
}

fn key(user: &str, text: &str, digest: u8) -> Key {
    Key { user: user.into(), text: text.into(), digest: [digest; 16] }
}

async fn append(store: &impl Store, room: &Arc<str>, events: Vec<NewEvent>) -> Vec<Appended> {
    let batch = Batch { log: room.clone().into(), epoch: Epoch::random(), events };
    store.append(batch).await.expect("events are appended")
}

/// Appends events that have no keys.
async fn add(
    store: &impl Store,
    room: &Arc<str>,
    events: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<Stored> {
    let events = events.into_iter().map(|(name, n)| event(room, name, n)).collect();
    let appended = append(store, room, events).await;
    appended.into_iter().map(now_stored).collect()
}

fn now_stored(appended: Appended) -> Stored {
    match appended {
        Appended::Now(stored) => stored,
        Appended::KeyUsed(before) => panic!("nothing was appended before: {before:?}"),
    }
}

fn position(stored: &Stored) -> Position {
    stored.position.expect("what is stored has a position")
}

async fn read(store: &impl Store, room: &str, part: Part) -> Vec<u64> {
    let page = page(store, room, part, 1_000, usize::MAX).await;
    assert!(!page.more, "there is nothing more than what was read");
    numbers(&page)
}

async fn page(store: &impl Store, room: &str, part: Part, limit: usize, bytes: usize) -> Page {
    store.read(&room.into(), &Query { part, limit, bytes }).await.expect("a part is read")
}

fn numbers(page: &Page) -> Vec<u64> {
    let number = |event: &Stored| event.data.get().parse().expect("the data that was stored");
    page.events.iter().map(number).collect()
}

fn newest(event: &'static str, skip: usize) -> Part {
    Part::Newest { event: event.into(), skip }
}

fn after(seq: u64, events: &[&'static str]) -> Part {
    Part::After { seq, events: events.iter().map(|name| Cow::Borrowed(*name)).collect() }
}

fn before(seq: u64, events: &[&'static str]) -> Part {
    Part::Before { seq, events: events.iter().map(|name| Cow::Borrowed(*name)).collect() }
}

async fn head(store: &impl Store, room: &str) -> Option<Head> {
    let mut head = store.head(&room.into()).await.expect("the head is read")?;
    head.last.sort();
    Some(head)
}

async fn an_unknown_room_has_nothing(store: &impl Store) {
    let room = room();
    assert_eq!(head(store, &room).await, None);
    for part in [newest("a", 0), after(0, &["a"]), before(u64::MAX, &["a"])] {
        assert_eq!(read(store, &room, part).await, NONE);
    }
    assert_eq!(
        store.find(&room.clone().into(), &key("ann", "k", 1)).await.expect("a key is looked for"),
        None
    );
    store.delete(&room.clone().into()).await.expect("what is not there is deleted");
    store.release(&room.clone().into());
    assert_eq!(head(store, &room).await, None);
}

async fn events_get_their_places(store: &impl Store) {
    let room = room();
    let first = add(store, &room, [("a", 1), ("b", 2), ("a", 3)]).await;
    let second = add(store, &room, [("b", 4), ("a", 5)]).await;
    let places = first.iter().chain(&second).map(position);
    let places: Vec<_> = places.map(|Position { seq, prev, .. }| (seq, prev)).collect();
    assert_eq!(places, [(1, 0), (2, 0), (3, 1), (4, 2), (5, 3)], "`seq` and `prev`");
    let epoch = position(&first[0]).epoch;
    assert!(first.iter().chain(&second).all(|stored| position(stored).epoch == epoch));
    let last = vec![("a".into(), 5), ("b".into(), 4)];
    assert_eq!(head(store, &room).await, Some(Head { epoch, seq: 5, last }));
}

async fn what_is_stored_comes_back_as_it_was(store: &impl Store) {
    let room = room();
    let texts = [
        r#"{"a":1,"b":[true,null,-0.5e-7],"c":{"d":"e"}}"#,
        r#"{"z":1,"a":12345678901234567890123,"a":2}"#,
        r#""\u0000 \ud83e\udd80 \" ' ; -- %s 🦀""#,
        "null",
        "1.0",
    ];
    let mut events: Vec<_> = texts.map(|_| event(&room, "sh'\"ape", 0)).into();
    for (event, text) in events.iter_mut().zip(texts) {
        event.message.data = serde_json::from_str(text).expect("JSON");
        event.message.from = "o'neil \u{1F980}".into();
        let meta = serde_json::json!({ "trace": "7c1", "nested": [{ "n": null }] });
        event.message.meta = serde_json::from_value(meta).ok();
    }
    events[3].message.meta = None;
    let sent: Vec<_> = events.iter().map(|event| event.message.clone()).collect();
    let appended = append(store, &room, events).await.into_iter().map(now_stored);
    let appended: Vec<_> = appended.collect();
    let read = page(store, &room, after(0, &["sh'\"ape"]), 100, usize::MAX).await.events;
    assert_eq!((appended.len(), read.len()), (texts.len(), texts.len()));
    for (sent, (appended, read)) in sent.iter().zip(appended.iter().zip(&read)) {
        assert_eq!(appended.position, read.position);
        for stored in [appended, read] {
            assert_eq!(stored.data.get(), sent.data.get(), "the data, to the letter");
            assert_eq!((&stored.event, &stored.room_id), (&sent.event, &sent.room_id));
            assert_eq!((&stored.from, stored.timestamp), (&sent.from, sent.timestamp));
            assert_eq!(stored.meta, sent.meta);
        }
    }
}

async fn a_log_keeps_its_epoch_until_it_is_deleted(store: &impl Store) {
    let room = room();
    let offered = Epoch::random();
    let batch =
        Batch { log: room.clone().into(), epoch: offered, events: vec![event(&room, "a", 1)] };
    let first = store.append(batch).await.expect("events are appended").remove(0);
    let first = position(&now_stored(first));
    assert_eq!(first.epoch, offered, "a new log takes the epoch that the batch has for it");
    let mut keyed = event(&room, "a", 2);
    keyed.key = Some(key("ann", "k", 1));
    let second = position(&now_stored(append(store, &room, vec![keyed]).await.remove(0)));
    assert_eq!((second.epoch, second.seq), (first.epoch, 2), "the log goes on");

    store.delete(&room.clone().into()).await.expect("the log is deleted");
    assert_eq!(head(store, &room).await, None);
    assert_eq!(read(store, &room, after(0, &["a"])).await, NONE);
    let mut keyed = event(&room, "a", 3);
    keyed.key = Some(key("ann", "k", 2));
    let third = append(store, &room, vec![keyed]).await.remove(0);
    let third = position(&now_stored(third));
    assert_ne!(third.epoch, first.epoch, "another log has another epoch");
    assert_eq!((third.seq, third.prev), (1, 0));
}

async fn a_log_goes_on_in_another_epoch(store: &impl Store) {
    let room = room();
    let log = LogId::from(room.clone());
    let end = async |ended, next| {
        store.end_epoch(&log, ended, next).await.expect("an epoch is ended");
    };
    let (next, other) = (Epoch::random(), Epoch::random());
    end(next, other).await;
    assert_eq!(head(store, &room).await, None, "no log begins by that");
    let keyed = || NewEvent { key: Some(key("ann", "k", 1)), ..event(&room, "a", 1) };
    let first = position(&now_stored(append(store, &room, vec![keyed()]).await.remove(0)));
    add(store, &room, [("b", 2)]).await;
    end(next, other).await;
    let epoch = head(store, &room).await.expect("a head").epoch;
    assert_eq!(epoch, first.epoch, "another epoch than the log's does not end");

    end(first.epoch, next).await;
    let last = vec![("a".into(), 1), ("b".into(), 2)];
    assert_eq!(head(store, &room).await, Some(Head { epoch: next, seq: 2, last }));
    let page = page(store, &room, after(0, &["a", "b"]), 10, usize::MAX).await;
    assert_eq!(numbers(&page), [1, 2], "the events are there");
    assert!(page.events.iter().all(|event| position(event).epoch == next));
    let again = append(store, &room, vec![keyed()]).await.remove(0);
    let moved = Position { epoch: next, ..first };
    assert!(
        matches!(again, Appended::KeyUsed(KeyUse::Same(at)) if at == moved),
        "the keys are there: {again:?}"
    );
    let third = position(&add(store, &room, [("a", 3)]).await[0]);
    assert_eq!((third.epoch, third.seq, third.prev), (next, 3, 1));
}

async fn a_key_appends_once(store: &impl Store) {
    let room = room();
    let keyed = |n, key| NewEvent { key: Some(key), ..event(&room, "a", n) };
    let first = append(store, &room, vec![keyed(1, key("ann", "k", 1))]).await.remove(0);
    let first = position(&now_stored(first));
    add(store, &room, [("a", 2)]).await;

    let again = append(store, &room, vec![keyed(1, key("ann", "k", 1))]).await.remove(0);
    assert!(
        matches!(again, Appended::KeyUsed(KeyUse::Same(at)) if at == first),
        "the same key says where the event is: {again:?}"
    );
    let other = append(store, &room, vec![keyed(3, key("ann", "k", 2))]).await.remove(0);
    assert!(
        matches!(other, Appended::KeyUsed(KeyUse::Other)),
        "the same key with another digest is a mistake: {other:?}"
    );
    let find =
        async |key| store.find(&room.clone().into(), &key).await.expect("a key is looked for");
    assert_eq!(find(key("ann", "k", 1)).await, Some(KeyUse::Same(first)));
    assert_eq!(find(key("ann", "k", 2)).await, Some(KeyUse::Other));
    assert_eq!(find(key("bob", "k", 1)).await, None, "keys are each user's own");
    assert_eq!(find(key("ann", "K", 1)).await, None);

    let others = vec![keyed(4, key("bob", "k", 9)), keyed(5, key("", "k", 9))];
    let others = append(store, &room, others).await.into_iter().map(now_stored);
    assert_eq!(others.map(|stored| position(&stored).seq).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(read(store, &room, after(0, &["a"])).await, [1, 2, 4, 5]);
}

async fn keys_in_one_batch_append_once(store: &impl Store) {
    let room = room();
    let keyed = |n, digest| NewEvent { key: Some(key("ann", "k", digest)), ..event(&room, "a", n) };
    let events =
        vec![keyed(1, 1), event(&room, "a", 2), keyed(1, 1), keyed(3, 3), event(&room, "a", 4)];
    let appended = append(store, &room, events).await;
    let [
        Appended::Now(first),
        Appended::Now(second),
        Appended::KeyUsed(KeyUse::Same(again)),
        Appended::KeyUsed(KeyUse::Other),
        Appended::Now(last),
    ] = &appended[..]
    else {
        panic!("a key counts within a batch: {appended:?}");
    };
    assert_eq!((position(first), position(second).seq), (*again, 2));
    assert_eq!((position(last).seq, position(last).prev), (3, 2), "no place is left out");
    assert_eq!(read(store, &room, after(0, &["a"])).await, [1, 2, 4]);
}

async fn parts_are_read_as_asked(store: &impl Store) {
    let room = room();
    add(store, &room, ["a", "c", "b"].into_iter().cycle().zip(1..=10)).await;
    // a: 1 4 7 10, b: 3 6 9, c: 2 5 8
    assert_eq!(read(store, &room, newest("a", 0)).await, [10, 7, 4, 1]);
    assert_eq!(read(store, &room, newest("a", 3)).await, [1]);
    assert_eq!(read(store, &room, newest("a", 4)).await, NONE);
    assert_eq!(read(store, &room, newest("a", usize::MAX)).await, NONE);
    assert_eq!(read(store, &room, newest("d", 0)).await, NONE);
    assert_eq!(read(store, &room, after(0, &["a", "b"])).await, [1, 3, 4, 6, 7, 9, 10]);
    assert_eq!(read(store, &room, after(4, &["a", "b"])).await, [6, 7, 9, 10]);
    assert_eq!(read(store, &room, after(10, &["a", "b", "c"])).await, NONE);
    assert_eq!(read(store, &room, after(u64::MAX, &["a"])).await, NONE);
    assert_eq!(read(store, &room, before(u64::MAX, &["c", "b"])).await, [9, 8, 6, 5, 3, 2]);
    assert_eq!(read(store, &room, before(6, &["c", "b"])).await, [5, 3, 2]);
    assert_eq!(read(store, &room, before(1, &["a"])).await, NONE);
    assert_eq!(read(store, &room, before(0, &["a"])).await, NONE);
    assert_eq!(read(store, &room, after(0, &[])).await, NONE, "no names, no events");
    let page = page(store, &room, after(3, &["a"]), 1, usize::MAX).await;
    let Position { seq, prev, .. } = position(&page.events[0]);
    assert_eq!((seq, prev), (4, 1), "positions are those that they were stored at");
}

async fn pages_are_bounded(store: &impl Store) {
    let room = room();
    let mut events: Vec<_> = (0..5).map(|n| event(&room, "a", n)).collect();
    for event in &mut events {
        let text = "x".repeat(98);
        event.message.data = to_raw_value(&text).expect("a text is JSON");
    }
    let weight = super::weight(&events[0].message);
    append(store, &room, events).await;
    let parts = || [newest("a", 0), after(0, &["a"]), before(u64::MAX, &["a"])];
    for part in parts() {
        let sizes = [
            (2, usize::MAX, 2, true),
            (5, usize::MAX, 5, false),
            (usize::MAX, usize::MAX, 5, false),
            (5, 3 * weight, 3, true),
            (5, 3 * weight - 1, 2, true),
            (5, 5 * weight, 5, false),
            (5, 0, 1, true),
            (0, usize::MAX, 0, true),
        ];
        for (limit, bytes, count, more) in sizes {
            let page = page(store, &room, part.clone(), limit, bytes).await;
            assert_eq!(
                (page.events.len(), page.more),
                (count, more),
                "{part:?} of at most {limit} events and {bytes} bytes"
            );
        }
    }
    let page = page(store, &room, newest("a", 3), 2, usize::MAX).await;
    assert_eq!((page.events.len(), page.more), (2, false));
}

async fn as_many_are_kept_as_declared(store: &impl Store) {
    let room = room();
    for n in 1..=10 {
        let few =
            NewEvent { keep: NonZeroUsize::new(3).expect("not zero"), ..event(&room, "few", n) };
        append(store, &room, vec![few, event(&room, "many", n)]).await;
    }
    let few = page(store, &room, newest("few", 0), 3, usize::MAX).await;
    assert_eq!(numbers(&few), [10, 9, 8], "the newest are kept");
    assert_eq!(read(store, &room, newest("many", 0)).await.len(), 10);
    let head = head(store, &room).await.expect("a head");
    assert_eq!((head.seq, head.last), (20, vec![("few".into(), 19), ("many".into(), 20)]));
    let next = add(store, &room, [("few", 11)]).await.remove(0);
    assert_eq!((position(&next).seq, position(&next).prev), (21, 19));
}

async fn rooms_are_apart(store: &impl Store) {
    let (one, other) = (room(), room());
    add(store, &one, [("a", 1), ("a", 2)]).await;
    let first = add(store, &other, [("a", 3)]).await.remove(0);
    assert_eq!(position(&first).seq, 1);
    assert_eq!(read(store, &one, after(0, &["a"])).await, [1, 2]);
    store.delete(&one.clone().into()).await.expect("the log is deleted");
    assert_eq!(read(store, &other, after(0, &["a"])).await, [3]);
}

async fn a_log_belongs_to_its_owner_alone(store: &impl Store) {
    let owners = [
        Owner::app(),
        Owner::user("ann"),
        Owner::user("bob"),
        Owner::creation(),
        Owner::creation(),
    ];
    for owner in &owners {
        let room = room();
        let log = LogId::new(room.clone(), owner.clone());
        let create = async |log: &LogId, epoch| store.create(log, epoch).await.expect("an answer");
        let epoch = Epoch::random();
        assert_eq!(create(&log, epoch).await, Created::Owned);
        assert_eq!(create(&log, Epoch::random()).await, Created::Owned, "it has it already");
        let empty = Head { epoch, seq: 0, last: Vec::new() };
        let head = store.head(&log).await.expect("the head is read");
        assert_eq!(head, Some(empty), "a log is there once it is created");
        let keyed = || NewEvent { key: Some(key("ann", "k", 1)), ..event(&room, "a", 1) };
        let batch = |log: &LogId| {
            let epoch = Epoch::random();
            Batch { log: log.clone(), epoch, events: vec![keyed()] }
        };
        let first = store.append(batch(&log)).await.expect("the owner appends").remove(0);
        let first = position(&now_stored(first));
        assert_eq!((first.epoch, first.seq), (epoch, 1));

        let query = Query { part: after(0, &["a"]), limit: 10, bytes: usize::MAX };
        let newest = Query { part: newest("a", 0), ..query.clone() };
        for other in owners.iter().filter(|other| *other != owner) {
            let theirs = LogId::new(room.clone(), other.clone());
            assert_eq!(create(&theirs, Epoch::random()).await, Created::Exists, "{other}");
            assert_eq!(store.head(&theirs).await.expect("the head is read"), None, "{other}");
            for query in [&query, &newest] {
                let page = store.read(&theirs, query).await.expect("a part is read");
                assert!(page.events.is_empty() && !page.more, "{other} reads nothing of {owner}");
            }
            let found = store.find(&theirs, &key("ann", "k", 1)).await;
            assert_eq!(found.expect("a key is looked for"), None, "{other}");
            let refused = store.append(batch(&theirs)).await.expect_err("it is another's");
            assert!(refused.is_not_owned(), "{other}: {refused}");
            store.delete(&theirs).await.expect("what is not there is deleted");
            store.release(&theirs);
        }
        let page = store.read(&log, &query).await.expect("a part is read");
        assert_eq!(numbers(&page), [1], "nobody else has changed it");

        store.delete(&log).await.expect("the log is deleted");
        assert_eq!(store.head(&log).await.expect("the head is read"), None);
        let next = LogId::new(room.clone(), Owner::creation());
        assert_eq!(create(&next, Epoch::random()).await, Created::Owned, "the id is free");
        let page = store.read(&next, &query).await.expect("a part is read");
        assert!(page.events.is_empty(), "nothing is left of the earlier log");
    }
}

async fn a_creations_log_does_not_begin_by_itself(store: &impl Store) {
    let room = room();
    let log = LogId::new(room.clone(), Owner::creation());
    let append = async || {
        let events = vec![event(&room, "a", 1)];
        store.append(Batch { log: log.clone(), epoch: Epoch::random(), events }).await
    };
    assert!(append().await.expect_err("it was not created").is_not_owned());
    assert_eq!(store.head(&log).await.expect("the head is read"), None);
    store.create(&log, Epoch::random()).await.expect("an answer");
    append().await.expect("it is created");
    store.delete(&log).await.expect("the log is deleted");
    assert!(append().await.expect_err("it is deleted").is_not_owned());
    let created = store.create(&room.clone().into(), Epoch::random()).await.expect("an answer");
    assert_eq!(created, Created::Owned, "nothing keeps the id");
}

async fn log_that_begins_empty_has_one_epoch(store: &impl Store) {
    let (room, epoch) = (room(), Epoch::random());
    let log = LogId::from(room.clone());
    let begin = async |epoch| store.begin(&log, epoch).await.expect("the log begins");
    assert_eq!(begin(epoch).await, Head::empty(epoch));
    if store.is_shared() {
        let others = (0..16).map(|_| store.begin(&log, Epoch::random()));
        for head in join_all(others).await {
            assert_eq!(head.expect("the log has begun"), Head::empty(epoch));
        }
        let first = add(store, &room, [("a", 1)]).await;
        assert_eq!(position(&first[0]).epoch, epoch, "the log goes on");
    } else {
        add(store, &room, [("a", 1)]).await;
    }
    let head = store.head(&log).await.expect("the head is read");
    assert_eq!(Some(begin(Epoch::random()).await), head, "a log with events has begun");

    let creation = LogId::new(self::room(), Owner::creation());
    let head = store.begin(&creation, epoch).await.expect("an answer");
    assert_eq!(head, Head::empty(epoch));
    assert_eq!(store.head(&creation).await.expect("the head is read"), None);
    let other = LogId::new(room, Owner::creation());
    assert_eq!(store.begin(&other, epoch).await.expect("an answer"), Head::empty(epoch));
}

async fn of_many_creations_at_once_one_is_the_rooms(store: &impl Store) {
    let room = room();
    let logs: Vec<_> = (0..16).map(|_| LogId::new(room.clone(), Owner::creation())).collect();
    let created = join_all(logs.iter().map(|log| store.create(log, Epoch::random()))).await;
    let created = created.into_iter().map(|created| created.expect("an answer"));
    let owned: Vec<_> =
        logs.iter().zip(created).filter(|(_, created)| *created == Created::Owned).collect();
    assert_eq!(owned.len(), 1, "a room has one log");
    for log in &logs {
        let head = store.head(log).await.expect("the head is read");
        assert_eq!(head.is_some(), log == owned[0].0);
    }
}

async fn many_at_once_get_places_of_their_own(store: &impl Store) {
    let rooms: Vec<_> = (0..4).map(|_| room()).collect();
    let tasks = rooms.iter().cycle().zip(0..40).map(|(room, n)| async move {
        let key = key("ann", &format!("{}", n / 8), 1);
        let keyed = NewEvent { key: Some(key), ..event(room, "a", n) };
        append(store, room, vec![event(room, "a", n), keyed]).await
    });
    join_all(tasks).await;
    for room in &rooms {
        let page = page(store, room, after(0, &["a"]), 1_000, usize::MAX).await;
        let places: Vec<_> = page.events.iter().map(position).collect();
        // Ten tasks with an event of their own each, and five keys, each used twice.
        let expected: Vec<_> = (1..=15).map(|seq| (seq, seq - 1)).collect();
        let found: Vec<_> = places.iter().map(|at| (at.seq, at.prev)).collect();
        assert_eq!(found, expected, "places are neither shared nor left out");
        assert!(places.iter().all(|at| at.epoch == places[0].epoch));
    }
}

async fn a_store_that_works_is_ready(store: &impl Store) {
    let room = room();
    add(store, &room, [("a", 1)]).await;
    store.ready().expect("it has just appended");
    // What a caller may not do says nothing about the store.
    let theirs = LogId::new(room.clone(), Owner::creation());
    let events = vec![event(&room, "a", 2)];
    let batch = Batch { log: theirs, epoch: Epoch::random(), events };
    assert!(store.append(batch).await.expect_err("it is another's").is_not_owned());
    store.ready().expect("an append that is rejected is no failure");
    assert_eq!(position(&add(store, &room, [("a", 3)]).await[0]).seq, 2);
}
