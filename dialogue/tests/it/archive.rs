//! Events that leave memory, and come back from where the app put them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use axum::Router;
use dialogue::{
    App, Client, CreateRoom, Deny, Dialogue, Event, Handshake, RawMessage, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
    store::Memory,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::server::{Server, unpaced};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 5)]
struct Note(u32);

#[dialogue::room("board", app = Notes, events(Note), sync_history = 8)]
mod board {}

#[dialogue::room("page:{n}", app = Notes, events(Note))]
mod page {
    #[derive(Clone, Debug)]
    pub struct Room {
        pub n: u32,
    }
}

/// By room and event, oldest first.
type Table = HashMap<(String, String), Vec<RawMessage>>;

/// The reference's persistence: what leaves memory goes into a table, and is read from there by offset.
#[derive(Clone)]
struct Notes {
    table: Arc<Mutex<Table>>,
    /// How often `evicted` may go on.
    permits: Arc<Semaphore>,
    loads: Arc<Mutex<Vec<Range<usize>>>>,
}

impl Notes {
    fn new() -> Self {
        let permits = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { table: Arc::default(), permits, loads: Arc::default() }
    }

    /// Notes that have left memory, oldest first.
    fn rows(&self, room: &str) -> Vec<u32> {
        let table = self.table.lock().unwrap();
        let rows = table.get(&(room.into(), "note".into())).into_iter().flatten();
        rows.map(|message| message.data.get().parse().unwrap()).collect()
    }

    async fn has_rows(&self, room: &str, count: usize) {
        while self.rows(room).len() < count {
            tokio::task::yield_now().await;
        }
    }
}

#[dialogue::app(rooms(board, page))]
impl App for Notes {
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

    async fn evicted(&self, room_id: &str, event: &str, messages: Vec<RawMessage>) {
        self.permits.acquire().await.unwrap().forget();
        let mut table = self.table.lock().unwrap();
        table.entry((room_id.into(), event.into())).or_default().extend(messages);
    }

    async fn load(&self, room_id: &str, event: &str, range: Range<usize>) -> Vec<RawMessage> {
        self.loads.lock().unwrap().push(range.clone());
        tokio::task::yield_now().await;
        let table = self.table.lock().unwrap();
        let rows = table.get(&(room_id.into(), event.into())).into_iter().flatten();
        rows.rev().skip(range.start).take(range.len()).cloned().collect()
    }
}

async fn write(server: &Server<Notes>, notes: impl IntoIterator<Item = u32>) {
    for n in notes {
        server.dialogue.room(board::Room).trigger(Note(n)).await.unwrap();
    }
}

fn notes(events: &Value) -> Vec<u64> {
    events.as_array().unwrap().iter().map(|event| event["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_leaves_memory_is_handed_over_in_order_and_read_on_from_there() {
    let app = Notes::new();
    let server = Server::start(app.clone()).await;
    write(&server, 1..=12).await;
    app.has_rows("board", 7).await;
    assert_eq!(app.rows("board"), [1, 2, 3, 4, 5, 6, 7]);

    let mut ann = server.connect("ann").await;
    // What a joiner is sent goes on beyond memory.
    let joined = ann.join("board").await;
    assert_eq!(
        (notes(&joined["events"]), &joined["more"]),
        (vec![12, 11, 10, 9, 8, 7, 6, 5], &json!(true))
    );
    let mut page = async |start: usize, end: usize| {
        let request = json!({ "roomId": "board", "eventName": "note", "start": start, "end": end });
        let page = ann.ask("dialogue:getHistory", request).await;
        (notes(&page["events"]), page["complete"].as_bool().unwrap())
    };
    app.loads.lock().unwrap().clear();
    // What is in memory, the app is not asked for; one more tells whether there is one.
    assert_eq!(page(0, 4).await, (vec![12, 11, 10, 9], true));
    assert!(app.loads.lock().unwrap().is_empty());
    assert_eq!(page(3, 7).await, (vec![9, 8, 7, 6], true));
    assert_eq!(*app.loads.lock().unwrap(), vec![0_usize..3]);
    assert_eq!(page(7, 9).await, (vec![5, 4], true));
    assert_eq!(page(9, 50).await, (vec![3, 2, 1], true));
    assert_eq!(page(12, 50).await, (vec![], true));
    let stored = server.dialogue.room(board::Room).history::<Note>(4..8).await.unwrap().events;
    assert_eq!(stored.iter().map(|note| note.data.0).collect::<Vec<_>>(), [8, 7, 6, 5]);
    assert_eq!(server.dialogue.stats().stored, 5);
}

#[tokio::test]
async fn until_the_app_has_it_it_is_read_from_memory() {
    let app = Notes::new();
    app.permits.forget_permits(Semaphore::MAX_PERMITS);
    let server = Server::start(app.clone()).await;
    write(&server, 1..=8).await;
    // Nothing has reached the table.
    let mut ann = server.join("ann", "board").await;
    let all = json!({ "roomId": "board", "eventName": "note" });
    let page = ann.ask("dialogue:getHistory", all.clone()).await;
    assert_eq!(notes(&page["events"]), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert!(app.rows("board").is_empty());
    app.permits.add_permits(1);
    app.has_rows("board", 1).await;
    let page = ann.ask("dialogue:getHistory", all).await;
    assert_eq!(notes(&page["events"]), [8, 7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_seam_nothing_is_missing_and_nothing_is_twice() {
    let server = Arc::new(Server::start(Notes::new()).await);
    write(&server, 1..=50).await;
    let writer = server.clone();
    let writing = tokio::spawn(async move { write(&writer, 51..=3_000).await });
    let room = server.dialogue.room(board::Room);
    let mut reads = 0;
    while !writing.is_finished() || reads < 100 {
        let read = room.history::<Note>(0..20).await.unwrap().events;
        let read: Vec<_> = read.iter().map(|note| note.data.0).collect();
        let expected: Vec<_> = (read[0] - 19..=read[0]).rev().collect();
        assert_eq!(read, expected);
        reads += 1;
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_deleted_room_hands_over_everything() {
    let app = Notes::new();
    let server = Server::start(app.clone()).await;
    let room = server.dialogue.room(page::Room { n: 1 });
    for n in 1..=7 {
        room.trigger(Note(n)).await.unwrap();
    }
    server.dialogue.delete_room("page:1").await.unwrap();
    app.has_rows("page:1", 7).await;
    assert_eq!(app.rows("page:1"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(server.dialogue.stats().stored, 0);
}

#[tokio::test]
async fn rooms_that_are_let_go_of_hand_over_everything() {
    let app = Notes::new();
    let store = Memory::new().released_rooms(1);
    let builder = Dialogue::builder(app.clone()).limits(unpaced()).store(store);
    let server = Server::built(builder, Router::new()).await;
    for n in 1..=2 {
        server.dialogue.room(page::Room { n }).trigger(Note(n)).await.unwrap();
    }
    app.has_rows("page:1", 1).await;
    assert_eq!((app.rows("page:1"), app.rows("page:2")), (vec![1], vec![]));
    // It is another log now, which goes on with what the app has.
    let mut ann = server.join("ann", "page:1").await;
    assert_eq!(ann.trigger("page:1", "note", json!(3)).await["seq"], 1);
    let page = json!({ "roomId": "page:1", "eventName": "note" });
    assert_eq!(notes(&ann.ask("dialogue:getHistory", page).await["events"]), [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_an_empty_room_is_let_go_of() {
    let app = Notes::new();
    let dialogue = Dialogue::builder(app.clone()).build().await.unwrap();
    dialogue.room(page::Room { n: 1 }).trigger(Note(1)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_mins(9)).await;
    assert!(app.rows("page:1").is_empty());
    // Used again, it has another ten.
    let kept = dialogue.room(page::Room { n: 1 }).history::<Note>(0..9).await.unwrap();
    assert_eq!(kept.events.len(), 1);
    tokio::time::sleep(std::time::Duration::from_mins(9)).await;
    assert!(app.rows("page:1").is_empty());
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    assert_eq!(app.rows("page:1"), [1]);
    assert_eq!(dialogue.stats().stored, 0);
}

#[tokio::test]
async fn a_server_that_stops_hands_over_everything() {
    let app = Notes::new();
    let server = Server::start(app.clone()).await;
    write(&server, 1..=7).await;
    assert!(server.dialogue.stop(std::time::Duration::from_secs(10)).await);
    assert_eq!(app.rows("board"), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn created_room_loads_nothing_of_an_earlier_one_of_its_id() {
    let app = Notes::new();
    let config = || json!({ "id": "den", "name": "Den" });
    let page = || json!({ "roomId": "den", "eventName": "note", "end": 100 });
    let mut past = Vec::new();
    // Each is the same app after a restart: its table is still there, and its rooms in memory are not.
    for run in 1..=2 {
        let server = Server::start(app.clone()).await;
        let mut peer = server.connect(&format!("user-{run}")).await;
        assert_eq!(peer.ask("dialogue:createRoom", config()).await["ok"], true);
        peer.join("den").await;
        for n in 0..8 {
            peer.trigger("den", "note", json!(run * 100 + n)).await;
        }
        app.has_rows("den", usize::try_from(run).unwrap() * 3).await;
        past.push(notes(&peer.ask("dialogue:getHistory", page()).await["events"]));
    }
    let all = |run: u64| (0..8).rev().map(|n| run * 100 + n).collect::<Vec<_>>();
    assert_eq!(past, [all(1), all(2)]);
}
