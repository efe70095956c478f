//! What rooms hold of what clients send, in a process of its own, whose allocations are counted.
#![allow(missing_docs, unreachable_pub)]

use std::{alloc::System, num::NonZeroUsize};

use dialogue::{
    Epoch, RawMessage,
    store::{Batch, Key, Memory, NewEvent, Store},
};
use serde_json::{json, value::to_raw_value};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What this process has allocated and not freed, in bytes.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
}

fn event(room: &str, data: &str, meta: Option<serde_json::Value>, key: Option<usize>) -> Batch {
    let mut message = RawMessage::new("note", room, to_raw_value(data).unwrap());
    message.meta = meta.and_then(|meta| serde_json::from_value(meta).ok());
    let key = key.map(|n| Key { user: "ann".into(), text: n.to_string().into(), digest: [0; 16] });
    let event = NewEvent { message, keep: NonZeroUsize::MAX, key };
    Batch { log: room.into(), epoch: Epoch::random(), events: vec![event] }
}

/// Makes what is appended.
type Make<'a> = &'a dyn Fn(usize) -> Batch;

/// A store in memory takes what it may, whatever fills it, in rooms that are in use.
#[tokio::test]
async fn logs_in_memory_hold_no_more_than_they_may() {
    const MOST: usize = 20_000_000;
    let large = "x".repeat(100_000);
    let meta = json!({ "list": vec![0; 1_000], "map": { "a": { "b": { "c": "d" } } } });
    let kinds: [(&str, usize, Make<'_>); 4] = [
        ("large events", 2_000, &|n| event(&format!("room {}", n % 50), &large, None, None)),
        ("small events", 200_000, &|n| event(&format!("room {}", n % 50), "x", None, None)),
        ("keyed events", 150_000, &|n| event("room", "x", None, Some(n))),
        ("events with meta", 10_000, &|n| {
            event(&format!("room {}", n % 50), "x", Some(meta.clone()), None)
        }),
    ];
    for (kind, count, batch) in kinds {
        let store = Memory::new().bytes(MOST);
        let (before, mut most) = (held(), 0);
        for n in 0..count {
            store.append(batch(n)).await.unwrap();
            if n % 100 == 0 {
                most = most.max(held().saturating_sub(before));
            }
        }
        println!("{kind}: {count} hold {most} bytes at most, where {MOST} are allowed");
        assert!(most > MOST / 4, "{kind} do not reach the bound");
        assert!(most < MOST + MOST / 4, "{kind} hold {most} bytes, where {MOST} are allowed");
    }
}
