//! Logs in memory.

use std::{num::NonZeroUsize, sync::Arc};

use dialogue::{
    Epoch, RawMessage,
    store::{Appended, Batch, Before, KEY_WINDOW, Key, Memory, NewEvent, Store, conformance},
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
    assert!(matches!(store.find(&"room".into(), &key).await, Ok(Some(Before::Same(_)))));
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
    let store = Memory::new().released_bytes(600);
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
