//! Many clients come and go: nothing of them stays. In a process of its own, whose allocations are
//! counted.
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../it/peer.rs"]
mod peer;
#[path = "../it/server.rs"]
mod server;

use std::{
    alloc::System,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;

use dialogue::{
    App, Deny, Dialogue, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
    store::Memory,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::server::{Server, unpaced};

const CLIENTS: usize = 20_000;
const AT_ONCE: usize = 16;
/// Maximum number of bytes that may stay allocated. The server and its grown tables hold 384 KiB; a task or a table
/// entry that stays takes more than 50 bytes for each client.
const MOST: usize = CLIENTS * 50;
/// How long what is remembered for a while may stay, such as how often users asked.
const A_WHILE: Duration = Duration::from_mins(1);

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 10)]
struct Note {
    text: String,
}

/// Kept nowhere.
#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "note")]
struct Call {
    text: String,
}

#[dialogue::room("plaza", app = Town, events(Call), sync_history = 5)]
mod plaza {
    use super::*;

    #[on]
    async fn heard(_: &dialogue::Context<Town, Room>, _: &dialogue::EventMessage<Call>) {}
}

#[dialogue::room("home:{user}", app = Town, events(Note))]
mod home {
    #[derive(Clone)]
    pub struct Room {
        pub user: String,
    }
}

struct Town;

#[dialogue::app(rooms(plaza, home))]
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

    async fn create_room(
        &self,
        _: &dialogue::Client<Self>,
        request: dialogue::CreateRoom,
    ) -> Result<dialogue::RoomConfig, Deny> {
        Ok(request.config().event::<Note>())
    }
}

/// One client's life: it connects, joins three rooms, one of which it creates, says something, reads
/// what was said, and goes, in one of the ways there are.
async fn live(server: &Server<Town>, n: usize) {
    let user = format!("user-{n}");
    let mut peer = server.connect(&user).await;
    let own = format!("own-{n}");
    let create = json!({ "id": own, "name": "Own" });
    assert_eq!(peer.ask("dialogue:createRoom", create).await["ok"], true);
    for room in ["plaza", &format!("home:{user}"), &own] {
        assert_eq!(peer.join(room).await["ok"], true);
        assert_eq!(peer.trigger(room, "note", json!({ "text": "hi" })).await["ok"], true);
        let history = json!({ "roomId": room, "eventName": "note" });
        assert_eq!(peer.ask("dialogue:getHistory", history).await["ok"], true);
    }
    let delete = json!({ "roomId": own });
    assert_eq!(peer.ask("dialogue:deleteRoom", delete).await["ok"], true);
    match n % 3 {
        0 => peer.close().await,
        1 => peer.send_text("41").await,
        _ => drop(peer),
    }
}

/// What this process, which is the server and its clients, has allocated and not freed, in bytes.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
}

/// Many clients come and go.
async fn come_and_go(server: &Arc<Server<Town>>) {
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let server = server.clone();
            tokio::spawn(async move {
                for n in (task..CLIENTS).step_by(AT_ONCE) {
                    live(&server, n).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_of_clients_that_came_and_went() {
    // Otherwise, some homes that are empty would keep their history.
    let store = Memory::new().released_rooms(0);
    let town = Dialogue::builder(Town).limits(unpaced()).store(store);
    let server = Arc::new(Server::built(town, Router::new()).await);
    let idle = server.dialogue.stats();
    assert_eq!((idle.rooms, idle.connections + idle.stored + idle.queued), (1, 0));
    come_and_go(&server).await;
    // There is the plaza, and nothing else of anything.
    server.settled(|stats| *stats == idle).await;
    let since = Instant::now();
    while allocated() > MOST {
        assert!(since.elapsed() < A_WHILE, "{} bytes are left", allocated());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
