//! What both stores in databases do beyond what every store does.

use std::{borrow::Cow, num::NonZeroUsize, time::SystemTime};

use dialogue::{
    Epoch, Position, RawMessage,
    store::{
        Appended, Batch, Created, Head, Key, KeyUse, LogId, Memory, NewEvent, Owner, Page, Part,
        Query, Store, StoreError, Stored,
    },
};
use futures_util::{FutureExt, future::join_all};
use serde_json::value::to_raw_value;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// A store that can be made to let go of what it is not to keep.
pub trait Kept: Store {
    fn sweep(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

pub fn event(room: &str, name: &'static str, n: usize) -> NewEvent {
    let mut message = RawMessage::new(name, room, to_raw_value(&n).unwrap());
    message.timestamp = now();
    NewEvent { message, keep: NonZeroUsize::new(1_000_000).unwrap(), key: None }
}

/// One of which the log keeps so many.
pub fn kept(event: NewEvent, keep: usize) -> NewEvent {
    NewEvent { keep: NonZeroUsize::new(keep).unwrap(), ..event }
}

pub fn keyed(event: NewEvent, text: &str) -> NewEvent {
    NewEvent { key: Some(key(text)), ..event }
}

pub fn key(text: &str) -> Key {
    Key { user: "ann".into(), text: text.into(), digest: [7; 16] }
}

pub fn batch(room: &str, events: Vec<NewEvent>) -> Batch {
    Batch { log: room.into(), epoch: Epoch::random(), events }
}

pub async fn append(store: &impl Store, room: &str, events: Vec<NewEvent>) -> Vec<Appended> {
    store.append(batch(room, events)).await.unwrap()
}

pub fn position(appended: &Appended) -> Position {
    match appended {
        Appended::Now(stored) => stored.position.unwrap(),
        Appended::KeyUsed(KeyUse::Same(position)) => *position,
        Appended::KeyUsed(KeyUse::Other) => panic!("the key is another event's"),
    }
}

pub async fn head(store: &impl Store, room: &str) -> Head {
    let mut head = store.head(&room.into()).await.unwrap().unwrap();
    head.last.sort();
    head
}

pub async fn read(store: &impl Store, room: &str, part: Part) -> Vec<Stored> {
    let page = page(store, room, part, usize::MAX, usize::MAX).await;
    assert!(!page.more);
    page.events
}

pub async fn page(store: &impl Store, room: &str, part: Part, limit: usize, bytes: usize) -> Page {
    store.read(&room.into(), &Query { part, limit, bytes }).await.unwrap()
}

pub fn after(seq: u64, names: &[&'static str]) -> Part {
    Part::After { seq, events: names.iter().map(|name| Cow::Borrowed(*name)).collect() }
}

pub fn seqs(events: &[Stored]) -> Vec<u64> {
    events.iter().map(|event| event.position.unwrap().seq).collect()
}

/// With all that they have.
pub fn shown(events: &[Stored]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

/// Everything that a store says of a log.
pub async fn everything(store: &impl Store, room: &str) -> (Head, Vec<Stored>) {
    let head = head(store, room).await;
    let names = head.last.iter().map(|(name, _)| name.clone()).collect();
    (head, read(store, room, Part::After { seq: 0, events: names }).await)
}

/// A log with all that an event may have, some of it let go of already.
pub async fn fill(store: &impl Kept) -> (Head, Vec<Stored>) {
    for n in 0..20 {
        let mut rich = keyed(event("room", "rich", n), &n.to_string());
        rich.message.meta = serde_json::from_value(serde_json::json!({ "n": n })).ok();
        append(store, "room", vec![rich, kept(event("room", "rare", n), 1)]).await;
    }
    store.sweep().await.unwrap();
    append(store, "other", vec![event("other", "rich", 0)]).await;
    everything(store, "room").await
}

/// The log that `fill` made goes on.
pub async fn goes_on(store: &impl Store, (head, events): (Head, Vec<Stored>)) {
    assert_eq!(head.last, [("rare".into(), 40), ("rich".into(), 39)]);
    let (head_now, events_now) = everything(store, "room").await;
    assert_eq!((&head_now, shown(&events_now)), (&head, shown(&events)));
    let first = events[0].position.unwrap();
    assert_eq!(store.find(&"room".into(), &key("0")).await.unwrap(), Some(KeyUse::Same(first)));
    let again = keyed(event("room", "rich", 0), "0");
    let next = append(store, "room", vec![again, event("room", "rare", 20)]).await;
    let places: Vec<_> = next.iter().map(position).collect();
    assert_eq!(places, [first, Position { epoch: head.epoch, seq: 41, prev: 40 }]);
}

/// Pages of any part and size are what a store in memory says they are.
pub async fn pages_are_those_of_memory(store: &impl Store) {
    let memory = Memory::new();
    let epoch = Epoch::random();
    for chunk in 0..7 {
        let events: Vec<_> = (0..100)
            .map(|n| {
                let n = chunk * 100 + n;
                // One name is everywhere, one at both ends, and one is hardly there.
                let name = match n {
                    0..50 | 650.. if n % 2 == 0 => "ends",
                    333 => "once",
                    _ => "often",
                };
                let mut event = event("room", name, n);
                event.message.data = to_raw_value(&"x".repeat(n * n % 91)).unwrap();
                event
            })
            .collect();
        let batch = Batch { log: "room".into(), epoch, events };
        memory.append(batch.clone()).await.unwrap();
        store.append(batch).await.unwrap();
    }
    let names: [&[_]; 5] =
        [&["often"], &["ends"], &["once", "ends"], &["often", "once", "ends", "never"], &[]];
    let mut parts = Vec::new();
    for names in names {
        let names: Vec<Cow<'static, str>> = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        for seq in [0, 255, 333, 700, u64::MAX] {
            parts.push(Part::After { seq, events: names.clone() });
            parts.push(Part::Before { seq, events: names.clone() });
        }
        for skip in [0, 50, 640, usize::MAX] {
            let event = names.first().cloned().unwrap_or("never".into());
            parts.push(Part::Newest { event, skip });
        }
    }
    for part in parts {
        for limit in [0, 1, 255, 256, 257, usize::MAX] {
            for bytes in [0, 100, 12_000, usize::MAX] {
                let expected = page(&memory, "room", part.clone(), limit, bytes).await;
                let found = page(store, "room", part.clone(), limit, bytes).await;
                let asked = format!("{part:?}, at most {limit} events and {bytes} bytes");
                assert_eq!(seqs(&found.events), seqs(&expected.events), "{asked}");
                assert_eq!(found.more, expected.more, "{asked}");
            }
        }
    }
}

/// Of each name as many as declared, in rooms that are appended to all the while, however many servers
/// share the store.
pub async fn as_many_of_each_name_are_kept(stores: &[impl Kept]) {
    let rooms = ["one", "other"];
    let writing = rooms.iter().map(|room| async move {
        for (n, store) in (0..300).zip(stores.iter().cycle()) {
            let events = [("few", 3), ("some", 50), ("all", 1_000)];
            let events = events.map(|(name, keep)| kept(event(room, name, n), keep)).into();
            append(store, room, events).await;
        }
    });
    let sweeping = stores.iter().map(|store| async {
        for _ in 0..10 {
            store.sweep().await.unwrap();
        }
    });
    tokio::join!(join_all(writing), join_all(sweeping));
    for swept in join_all(stores.iter().map(Kept::sweep)).await {
        swept.unwrap();
    }
    let store = &stores[0];
    for room in rooms {
        for (name, place, keep) in [("few", 1, 3), ("some", 2, 50), ("all", 3, 300)] {
            let left = seqs(&read(store, room, after(0, &[name])).await);
            let newest: Vec<_> = (300 - keep..300).map(|n| n * 3 + place).collect();
            assert_eq!(left, newest, "{name} in {room}");
        }
        assert_eq!(
            head(store, room).await.last,
            [("all".into(), 900), ("few".into(), 898), ("some".into(), 899)]
        );
    }
}

/// Only what is younger than a day, in whichever room.
pub async fn old_events_are_let_go_of(store: &impl Kept) {
    const HOUR: u64 = 3_600_000;
    for room in ["one", "other"] {
        let hours_ago = [40, 30, 20, 10, 0];
        let events = hours_ago.into_iter().zip(["a", "b"].into_iter().cycle());
        let events = events.map(|(hours, name)| {
            let mut event = event(room, name, 0);
            event.message.timestamp = now() - hours * HOUR;
            event
        });
        append(store, room, events.collect()).await;
    }
    let old = (0..1_200).map(|n| {
        let mut event = event("old", "a", n);
        event.message.timestamp = 1;
        event
    });
    append(store, "old", old.collect()).await;
    store.sweep().await.unwrap();
    for room in ["one", "other"] {
        assert_eq!(seqs(&read(store, room, after(0, &["a", "b"])).await), [3, 4, 5]);
        assert_eq!(head(store, room).await.last, [("a".into(), 5), ("b".into(), 4)]);
    }
    assert_eq!(seqs(&read(store, "old", after(0, &["a"])).await), [0; 0]);
    let next = append(store, "old", vec![event("old", "a", 0)]).await;
    assert_eq!((position(&next[0]).seq, position(&next[0]).prev), (1_201, 1_200));
}

/// No more than 10,000 bytes in a room, whatever they are called.
pub async fn heavy_rooms_let_go_of_their_oldest(store: &impl Kept) {
    let heavy = |room, name, bytes: usize| {
        let mut event = event(room, name, 0);
        event.message.data = to_raw_value(&"x".repeat(bytes - 2)).unwrap();
        event
    };
    for _ in 0..10 {
        let names = ["a", "b", "c"].into_iter().cycle().take(150);
        let events = names.map(|name| heavy("heavy", name, 99)).collect();
        append(store, "heavy", events).await;
    }
    append(store, "light", vec![heavy("light", "a", 10_000)]).await;
    store.sweep().await.unwrap();
    let left = seqs(&read(store, "heavy", after(0, &["a", "b", "c"])).await);
    assert_eq!(left, (1_400..=1_500).collect::<Vec<_>>(), "101 events of 99 bytes are 9,999");
    assert_eq!(seqs(&read(store, "light", after(0, &["a"])).await), [1]);
    append(store, "light", vec![heavy("light", "b", 2)]).await;
    store.sweep().await.unwrap();
    assert_eq!(seqs(&read(store, "light", after(0, &["a", "b"])).await), [2]);
}

/// A batch of many events gets places in a row, and comes back page by page.
pub async fn a_large_batch_is_one_batch(store: &impl Store) {
    let events = (0..5_000).map(|n| {
        let event = event("room", ["a", "b"][n % 2], n);
        if n % 10 == 0 { keyed(event, &(n % 1_000).to_string()) } else { event }
    });
    let appended = append(store, "room", events.collect()).await;
    let new = appended.iter().filter(|appended| matches!(appended, Appended::Now(_)));
    assert_eq!(new.count(), 4_600, "of 500 keys, 100 are different");
    let (mut seq, mut read) = (0, Vec::new());
    loop {
        let page = page(store, "room", after(seq, &["a", "b"]), 700, usize::MAX).await;
        read.extend(seqs(&page.events));
        if !page.more {
            break;
        }
        seq = *read.last().unwrap();
    }
    assert_eq!(read, (1..=4_600).collect::<Vec<_>>());
}

/// Appends whose callers go away, at whatever moment, are in nobody's way.
pub async fn abandoned_appends_are_in_nobodys_way(store: &impl Store) {
    for n in 0..100 {
        let append = store.append(batch("room", vec![event("room", "a", n)]));
        let mut append = Box::pin(append);
        for _ in 0..n % 10 {
            if (&mut append).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
    }
    let last = append(store, "room", vec![event("room", "a", 0)]).await;
    let last = position(&last[0]);
    let read = seqs(&read(store, "room", after(0, &["a"])).await);
    assert_eq!(read, (1..=last.seq).collect::<Vec<_>>(), "no place is left out");
    assert_eq!(last.prev, last.seq - 1);
}

/// What no database keeps as it is, is refused.
pub async fn zero_characters_are_refused(store: &impl Store) {
    let mut from = event("room", "a", 0);
    from.message.from = "\0".into();
    let events = [
        event("ro\0om", "a", 0),
        event("room", "a\0", 0),
        keyed(event("room", "a", 0), "\0"),
        from,
    ];
    for event in events {
        let room = event.message.room_id.clone();
        let error = store.append(batch(&room, vec![event])).await.unwrap_err();
        assert!(error.to_string().contains("zero"), "{error}");
    }
    assert!(store.head(&"room".into()).await.unwrap().is_none());
}

/// Two servers that share a store give no place twice, and no key two places.
pub async fn two_servers_agree(one: &impl Store, other: &impl Store) {
    const EACH: usize = 50;
    let appends = (0..EACH).map(|n| async move {
        let key = n.to_string();
        let events = |name| vec![event("room", name, n), keyed(event("room", "both", n), &key)];
        tokio::join!(append(one, "room", events("one")), append(other, "room", events("other")))
    });
    for (one, other) in join_all(appends).await {
        assert_eq!(position(&one[1]), position(&other[1]), "one key, one place");
    }
    let (head, events) = everything(one, "room").await;
    let (head_there, events_there) = everything(other, "room").await;
    assert_eq!((&head_there, shown(&events_there)), (&head, shown(&events)));
    let all: Vec<_> = (1..=3 * EACH as u64).collect();
    assert_eq!(seqs(&events), all, "no place is given twice or left out");
    let mut last = std::collections::HashMap::new();
    for event in &events {
        let Position { epoch, seq, prev } = event.position.unwrap();
        assert_eq!(epoch, head.epoch);
        assert_eq!(prev, last.insert(&event.event, seq).unwrap_or(0));
    }

    other.delete(&"room".into()).await.unwrap();
    let begun = append(one, "room", vec![event("room", "one", 0)]).await;
    assert_eq!((position(&begun[0]).seq, position(&begun[0]).prev), (1, 0));
    assert_ne!(position(&begun[0]).epoch, head.epoch, "another log");
}

/// Makes the tables that version 0 of the stores had: they did not know whose a log is.
pub fn first_tables(sql: &'static str) -> Migrator {
    let sql = sql.into_sql_str();
    let logs = Migration::new(1, "logs".into(), MigrationType::Simple, sql, false);
    let mut migrator = Migrator::with_migrations(vec![logs]);
    migrator.dangerous_set_table_name("dialogue_migrations");
    migrator
}

/// What such a store has written: one event in each of these rooms.
pub fn first_rows(room: &str, key: i64, prev: &str) -> String {
    let (column, value) = if prev.is_empty() { ("", "") } else { ("prev, ", "0, ") };
    format!(
        r#"
        insert into dialogue_rooms (id, epoch, seq) values ('{room}', '00000000000000ab', 1);
        insert into dialogue_names (room, event, last, {column}keep, count, bytes)
            values ({key}, 'a', 1, {value}10, 1, 3);
        insert into dialogue_events (room, name, seq, prev, sender, at, data)
            values ({key}, {key}, 1, 0, 'ann', 1, '"{room}"');
        "#
    )
}

/// Logs of a database that was made by an earlier version are the app's: of a declared room, of one that code
/// creates for a user or for none, and never of a client's.
pub async fn logs_of_the_first_version_are_the_apps(store: &impl Store) {
    let data = async |log: &LogId| {
        let query = Query { part: after(0, &["a"]), limit: 10, bytes: usize::MAX };
        let page = store.read(log, &query).await.unwrap();
        page.events.iter().map(|event| event.data.get().to_owned()).collect::<Vec<_>>()
    };
    let create = async |room: &str, owner| {
        store.create(&LogId::new(room, owner), Epoch::random()).await.unwrap()
    };
    let epoch = "00000000000000ab".parse().unwrap();
    for (room, owner) in [("declared", Owner::app()), ("created", Owner::user("ann"))] {
        let log = LogId::new(room, owner.clone());
        let eve = LogId::new(room, Owner::creation());
        assert_eq!(create(room, eve.owner.clone()).await, Created::Exists);
        assert_eq!((store.head(&eve).await.unwrap(), data(&eve).await.len()), (None, 0));
        store.delete(&eve).await.unwrap();
        if room == "created" {
            assert_eq!(create(room, owner).await, Created::Owned);
            assert_eq!(create(room, Owner::user("bob")).await, Created::Exists);
            assert_eq!(create(room, Owner::app()).await, Created::Exists);
        }
        assert_eq!(store.head(&log).await.unwrap().unwrap().epoch, epoch);
        assert_eq!(data(&log).await, [format!("\"{room}\"")]);
        let next = Batch { log, epoch: Epoch::random(), events: vec![event(room, "a", 2)] };
        let next = position(&store.append(next).await.unwrap()[0]);
        assert_eq!(next, Position { epoch, seq: 2, prev: 1 });
    }
}

async fn create(store: &impl Store, room: &str) -> (LogId, Created) {
    let log = LogId::new(room, Owner::creation());
    let created = store.create(&log, Epoch::random()).await.unwrap();
    (log, created)
}

/// The logs of a server's creations end with it. `age` makes all servers look as if they had said nothing for that
/// many milliseconds more.
pub async fn creations_end_with_their_server<S: Kept>(
    one: S,
    other: &S,
    third: S,
    age: impl AsyncFn(i64),
) {
    let mut logs = Vec::new();
    for n in 0..250 {
        let (log, created) = create(&one, &format!("room {n}")).await;
        assert_eq!(created, Created::Owned);
        logs.push(log);
    }
    let (closing, _) = create(&third, "closing").await;
    let (own, _) = create(other, "own").await;
    let mine = append(other, "mine", vec![event("mine", "a", 1)]).await;
    let batch = |log: &LogId, n| Batch {
        log: log.clone(),
        epoch: Epoch::random(),
        events: vec![event(&log.room, "a", n)],
    };
    one.append(batch(&logs[0], 1)).await.unwrap();
    // It crashes: it says nothing more, and not that it is gone.
    drop(one);
    age(590_000).await;
    other.sweep().await.unwrap();
    assert_eq!(create(other, "room 0").await.1, Created::Exists, "ten minutes are not over");
    assert_eq!(create(other, "closing").await.1, Created::Exists);
    third.close().await;
    other.sweep().await.unwrap();
    assert_eq!(create(other, "closing").await.1, Created::Owned, "it is known to be gone");
    assert_eq!(other.head(&closing).await.unwrap(), None);
    age(10_000).await;
    other.sweep().await.unwrap();
    for log in &logs {
        assert_eq!(other.head(log).await.unwrap(), None);
    }
    assert_eq!(create(other, "room 0").await.1, Created::Owned);
    assert!(other.append(batch(&logs[1], 2)).await.unwrap_err().is_not_owned());
    // What belongs to the app, or to a server that is there, stays.
    assert_eq!(position(&mine[0]).seq, head(other, "mine").await.seq);
    assert!(other.head(&own).await.unwrap().is_some());
}
