//! What rooms hold of what clients send, in a process of its own, whose allocations are counted.
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../it/peer.rs"]
mod peer;
#[path = "../it/server.rs"]
mod server;

use std::{alloc::System, num::NonZeroUsize};

use dialogue::{
    App, Client, CreateRoom, Deny, Epoch, Event, Handshake, RawMessage, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
    store::{Batch, Key, Memory, NewEvent, Store},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::to_raw_value};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::server::{Server, unpaced};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 10)]
struct Note {
    text: String,
}

struct Town;

#[dialogue::app(rooms())]
impl App for Town {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn create_room(&self, _: &Client<Self>, request: CreateRoom) -> Result<RoomConfig, Deny> {
        Ok(request.config().event::<Note>())
    }
}

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

/// A store in memory takes what it may, whatever fills it, in rooms that are in use.
async fn memory_is_bounded() {
    const MOST: usize = 20_000_000;
    let large = "x".repeat(100_000);
    let meta = json!({ "list": vec![0; 1_000], "map": { "a": { "b": { "c": "d" } } } });
    let kinds: [(&str, usize, &dyn Fn(usize) -> Batch); 4] = [
        ("large events", 2_000, &|n| event(&format!("room {}", n % 50), &large, None, None)),
        ("small events", 200_000, &|n| event(&format!("room {}", n % 50), "x", None, None)),
        ("keyed events", 150_000, &|n| event("room", "x", None, Some(n))),
        ("events with meta", 2_000, &|n| {
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

/// Clients that do not read are told of rooms without a copy for each.
async fn announcements_are_encoded_once() {
    const CLIENTS: usize = 200;
    const ROOMS: usize = 100;
    let mut limits = unpaced();
    (limits.rooms_per_user, limits.rooms_per_address) = (ROOMS, ROOMS);
    let server = Server::with_limits(Town, limits).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(server.connect(&format!("user-{n}")).await);
    }
    let mut ann = server.connect("ann").await;
    let (allocated, before) = (ALLOCATOR.stats().bytes_allocated, held());
    let mut most = 0;
    for n in 0..ROOMS {
        let room =
            json!({ "id": format!("room {n}"), "name": "x", "description": "x".repeat(2_000) });
        assert_eq!(ann.ask("dialogue:createRoom", room).await["ok"], true);
        most = most.max(held().saturating_sub(before));
    }
    // The last one is told of after all others.
    while clients[0].event().await.1["id"] != json!(format!("room {}", ROOMS - 1)) {}
    let each = (ALLOCATOR.stats().bytes_allocated - allocated) / (CLIENTS * ROOMS);
    println!(
        "{ROOMS} rooms, told to {CLIENTS} clients: {most} bytes held at most, {each} bytes allocated for each"
    );
    assert!(
        each < 1_500,
        "{each} bytes are allocated for each announcement of 2,000 bytes to each client"
    );
    assert!(most < 40_000_000, "{most} bytes are held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_hold_no_more_than_they_may() {
    memory_is_bounded().await;
    announcements_are_encoded_once().await;
}
