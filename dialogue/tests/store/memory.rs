//! Logs in memory.

use std::{num::NonZeroUsize, sync::Arc};

use dialogue::{
    Epoch, RawMessage,
    store::{
        Appended, Batch, KEY_WINDOW, Key, KeyUse, Memory, NewEvent, Part, Query, Store, conformance,
    },
};
use serde_json::value::to_raw_value;

#[tokio::test]
async fn memory_is_a_store() {
    conformance::check(&Memory::new()).await;
}

async fn append(store: &Memory, room: &str, key: Option<Key>) -> Appended {
    let room: Arc<str> = room.into();
    let message = RawMessage::new("a", room.clone(), to_raw_value(&1).unwrap());
    let event = NewEvent { message, keep: NonZeroUsize::new(2).unwrap(), key };
    let batch = Batch { log: room.into(), epoch: Epoch::random(), events: vec![event] };
    store.append(batch).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_remembered_for_two_minutes() {
    let store = Memory::new();
    let key = Key { user: "ann".into(), text: "k".into(), digest: [1; 16] };
    append(&store, "room", Some(key.clone())).await;
    tokio::time::advance(KEY_WINDOW.mul_f64(0.99)).await;
    assert!(matches!(store.find(&"room".into(), &key).await, Ok(Some(KeyUse::Same(_)))));
    tokio::time::advance(KEY_WINDOW.mul_f64(0.02)).await;
    assert!(matches!(store.find(&"room".into(), &key).await, Ok(None)));
    assert!(matches!(append(&store, "room", Some(key)).await, Appended::Now(_)));
}

#[tokio::test]
async fn what_is_in_memory_is_counted() {
    let store = Memory::new().released_rooms(1);
    for room in ["one", "one", "one", "two"] {
        append(&store, room, None).await;
    }
    assert_eq!(store.in_memory(), 3);
    store.delete(&"two".into()).await.unwrap();
    assert_eq!(store.in_memory(), 2);
    append(&store, "three", None).await;
    // Of rooms that nobody is in, one is remembered.
    store.release(&"three".into());
    store.release(&"one".into());
    assert_eq!(store.in_memory(), 2);
    assert!(store.head(&"three".into()).await.unwrap().is_none());
    assert!(store.head(&"one".into()).await.unwrap().is_some());
    store.close().await;
    assert_eq!(store.in_memory(), 0);
}

#[tokio::test]
async fn logs_of_rooms_that_nobody_is_in_take_only_so_many_bytes() {
    let store = Memory::new().released_bytes(2_300);
    for room in ["one", "two", "three"] {
        append(&store, room, None).await;
        store.release(&room.into());
    }
    assert_eq!(store.in_memory(), 2);
    // One that is used again does not count.
    assert!(store.head(&"two".into()).await.unwrap().is_some());
    append(&store, "four", None).await;
    store.release(&"four".into());
    assert_eq!(store.in_memory(), 3);
}

/// An event with this many bytes of data.
fn sized(room: &str, name: &'static str, bytes: usize) -> Batch {
    let data = to_raw_value(&"x".repeat(bytes)).unwrap();
    let message = RawMessage::new(name, room, data);
    let event = NewEvent { message, keep: NonZeroUsize::MAX, key: None };
    Batch { log: room.into(), epoch: Epoch::random(), events: vec![event] }
}

async fn seqs(store: &Memory, room: &str) -> Vec<u64> {
    let part = Part::After { seq: 0, events: vec!["a".into(), "b".into()] };
    let query = Query { part, limit: usize::MAX, bytes: usize::MAX };
    let page = store.read(&room.into(), &query).await.unwrap();
    page.events.iter().map(|event| event.position.unwrap().seq).collect()
}

#[tokio::test]
async fn largest_log_over_budget_loses_its_oldest_events() {
    let store = Memory::new().bytes(1_000_000);
    for _ in 0..10 {
        store.append(sized("small", "a", 1_000)).await.unwrap();
    }
    for n in 0..2_000 {
        store.append(sized("large", ["a", "b"][n % 2], 10_000)).await.unwrap();
    }
    assert_eq!(seqs(&store, "small").await, (1..=10).collect::<Vec<_>>(), "it is not the largest");
    let left = seqs(&store, "large").await;
    let newest: Vec<_> = (2_001 - left.len() as u64..=2_000).collect();
    assert_eq!(left, newest, "the oldest go first, whatever their names");
    assert!((80..=97).contains(&left.len()), "{} events of 10 KB", left.len());
    let head = store.head(&"large".into()).await.unwrap().unwrap();
    assert_eq!(head.seq, 2_000, "the log goes on");
}

#[tokio::test]
async fn many_logs_over_budget_are_cut_to_one_size() {
    let store = Memory::new().bytes(1_000_000);
    let rooms: Vec<_> = (0..20).map(|n| format!("room {n}")).collect();
    for _ in 0..50 {
        for room in &rooms {
            store.append(sized(room, "a", 5_000)).await.unwrap();
        }
    }
    for room in &rooms {
        let left = seqs(&store, room).await.len();
        assert!((5..=12).contains(&left), "{left} events of {room}");
    }
}

#[tokio::test]
async fn keys_over_budget_are_forgotten_after_all_events() {
    let store = Memory::new().bytes(100_000);
    let key =
        |n: usize| Key { user: "ann".into(), text: format!("{n:0>100}").into(), digest: [1; 16] };
    for n in 0..2_000 {
        append(&store, "room", Some(key(n))).await;
    }
    let found = async |n| store.find(&"room".into(), &key(n)).await.unwrap().is_some();
    assert!(found(1_999).await, "the newest is known");
    assert!(!found(0).await, "2,000 keys of 359 bytes are more than 100,000");
    assert!(store.in_memory() <= 2);
}

#[tokio::test]
async fn meta_counts_by_its_text() {
    let store = Memory::new().bytes(1_000_000);
    let meta = serde_json::json!({ "m": vec![0; 6_000] });
    for _ in 0..100 {
        let mut batch = sized("room", "a", 1);
        batch.events[0].message.meta = serde_json::from_value(meta.clone()).ok();
        store.append(batch).await.unwrap();
    }
    let left = seqs(&store, "room").await.len();
    assert!((60..=80).contains(&left), "{left} events with 12,000 bytes of context each");
}
