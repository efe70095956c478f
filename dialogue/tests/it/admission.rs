//! Joins that wait, and what changes meanwhile.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use dialogue::{
    AnyRoom, App, Client, Context, Deny, Dialogue, Event, Handshake, RoomConfig, RoomInfo,
    auth::{ClaimedUser, TrustClientUserId},
};
use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    peer::{Incoming, Peer},
    polling::Poller,
    server::{Server, unpaced},
    shaky::Shaky,
};

#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 10)]
struct Secret {
    text: String,
}

/// What waits for a client that does not read.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
struct Filler;

#[dialogue::room("vault", app = Guarded, events(Secret), sync_history = 10)]
mod vault {
    use super::*;

    #[before_join]
    async fn ask(cx: &Context<Guarded, Room>, client: &Client<Guarded>) -> Result<(), Deny> {
        cx.app().decide("room", client.user_id())
    }
}

/// An app that changes its mind.
#[derive(Clone)]
struct Guarded {
    /// Who is let in by none of these.
    closed: Arc<Mutex<HashSet<&'static str>>>,
    /// How often it decided.
    decisions: watch::Sender<usize>,
}

impl Guarded {
    fn new() -> Self {
        Self { closed: Arc::default(), decisions: watch::Sender::new(0) }
    }

    /// Has a hook say no from now on.
    fn close(&self, hook: &'static str) {
        self.closed.lock().unwrap().insert(hook);
    }

    fn decide(&self, hook: &'static str, user: &str) -> Result<(), Deny> {
        let closed = user == "eve" && self.closed.lock().unwrap().contains(hook);
        self.decisions.send_modify(|count| *count += 1);
        if closed { Err(Deny::new("banned")) } else { Ok(()) }
    }

    /// Waits until it has decided on something after so many decisions.
    async fn decided(&self, before: usize) {
        self.decisions.subscribe().wait_for(|count| *count > before).await.unwrap();
    }

    fn decisions(&self) -> usize {
        *self.decisions.borrow()
    }
}

#[dialogue::app(rooms(vault), direct(Filler))]
impl App for Guarded {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    fn sees(&self, client: &Client<Self>, _: &RoomInfo) -> bool {
        client.user_id() != "eve" || !self.closed.lock().unwrap().contains("sees")
    }

    async fn before_join(&self, client: &Client<Self>, _: &AnyRoom<Self>) -> Result<(), Deny> {
        self.decide("app", client.user_id())
    }
}

async fn server(app: Guarded, join_time: Duration) -> Server<Guarded> {
    let mut limits = unpaced();
    limits.outgoing_packets = 4;
    limits.join_time = join_time;
    let server = Server::with_limits(app, limits).await;
    let secret = Secret { text: "S3CRET".into() };
    server.dialogue.room(vault::Room).trigger(secret).await.unwrap();
    server
}

/// Eve, who has as many packets to read as may wait for her, and asks to join a room.
async fn joins_unread(server: &Server<Guarded>, room: &str) -> Poller {
    let eve = Poller::connect(server.address, r#"{"userId":"eve"}"#, "").await.unwrap();
    let greeting = eve.poll().await;
    assert!(greeting[0].contains("dialogue:connected"), "{greeting:?}");
    let client = &server.dialogue.clients_of("eve")[0];
    while client.send(Filler).now_or_never().is_some() {}
    eve.send(&format!("427{}", json!(["dialogue:join", { "roomId": room }]))).await;
    eve
}

/// Reads until the answer to the join comes; nothing else may come but what waited before.
async fn answer(eve: &Poller) -> Value {
    loop {
        for packet in eve.poll().await {
            if let Some(answer) = packet.strip_prefix("437") {
                let answer: Vec<Value> = serde_json::from_str(answer).unwrap();
                return answer[0].clone();
            }
            assert_eq!(packet, r#"42["filler",null]"#);
        }
    }
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn join_that_waits_for_a_reader_is_decided_again_when_it_reads() {
    for (hook, code) in
        [("room", "JOIN_DENIED"), ("app", "JOIN_DENIED"), ("sees", "ROOM_NOT_FOUND")]
    {
        let app = Guarded::new();
        let server = server(app.clone(), LONG).await;
        let before = app.decisions();
        let eve = joins_unread(&server, "vault").await;
        // The room and the app let eve in, who waits.
        app.decided(before + 1).await;
        app.close(hook);
        let answer = answer(&eve).await;
        assert_eq!((&answer["code"], &answer["roomId"]), (&json!(code), &json!("vault")), "{hook}");
        assert!(!answer.to_string().contains("S3CRET"), "{answer}");
        assert_eq!(server.dialogue.stats().members, 0);
    }
}

#[tokio::test]
async fn join_that_waits_for_a_reader_who_may_still_join_is_answered_in_full() {
    let app = Guarded::new();
    let server = server(app.clone(), LONG).await;
    let before = app.decisions();
    let eve = joins_unread(&server, "vault").await;
    app.decided(before + 1).await;
    let answer = answer(&eve).await;
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(answer["events"][0]["data"]["text"], "S3CRET");
    assert_eq!(server.dialogue.stats().members, 1);
}

#[tokio::test]
async fn join_that_waits_while_another_room_takes_the_id_is_refused() {
    let app = Guarded::new();
    let server = server(app.clone(), LONG).await;
    let config = || RoomConfig::new("Den").event::<Secret>().sync_history(10);
    let first = server.dialogue.create_room("den", config()).await.unwrap();
    let before = app.decisions();
    let eve = joins_unread(&server, "den").await;
    app.decided(before).await;
    first.delete().await.unwrap();
    let second = server.dialogue.create_room("den", config()).await.unwrap();
    second.trigger(Secret { text: "S3CRET".into() }).await.unwrap();
    assert_eq!(answer(&eve).await["code"], "ROOM_NOT_FOUND");
    assert_eq!(second.size(), 0);
}

#[tokio::test]
async fn join_that_waits_for_a_reader_longer_than_the_limit_is_refused() {
    let app = Guarded::new();
    let server = server(app.clone(), Duration::ZERO).await;
    let before = app.decisions();
    let eve = joins_unread(&server, "vault").await;
    app.decided(before + 1).await;
    let refused = answer(&eve).await;
    assert_eq!((&refused["code"], &refused["ok"]), (&json!("LIMIT_EXCEEDED"), &json!(false)));
    assert_eq!(server.dialogue.stats().members, 0);
    // Whoever reads does not wait.
    eve.send(&format!("427{}", json!(["dialogue:join", { "roomId": "vault" }]))).await;
    assert_eq!(answer(&eve).await["ok"], true);
}

#[tokio::test]
async fn join_that_waits_for_the_store_is_decided_again() {
    let (app, store) = (Guarded::new(), Shaky::default());
    let builder = Dialogue::builder(app.clone()).limits(unpaced()).store(store.clone());
    let server = Server::built(builder, axum::Router::new()).await;
    let mut eve = Peer::connect(server.address, r#"{"userId":"eve"}"#).await.unwrap();
    store.set_open(false);
    eve.send_text(r#"427["dialogue:join",{"roomId":"vault"}]"#).await;
    app.decided(1).await;
    app.close("app");
    // A decision holds for a second, in which the store answers most of the time.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    store.set_open(true);
    let Incoming::Ack(7, answer) = eve.incoming().await else { panic!("no answer") };
    assert_eq!(answer["code"], "JOIN_DENIED");
    assert_eq!(server.dialogue.stats().members, 0);
}
