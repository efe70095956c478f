//! The app's hooks, all of them in their order.

use std::time::Duration;

use dialogue::{
    AnyRoom, App, Client, Context, CreateRoom, Deny, DisconnectReason, EventMessage, Handshake,
    RawMessage, RoomConfig, Socket, TriggerError,
    auth::{ClaimedUser, TrustClientUserId},
};
use serde_json::json;

use crate::{
    lobby::{Lobby, Say, Score, desk, hall},
    peer::{Incoming, Peer},
    server::{Server, unpaced},
};

#[tokio::test]
async fn all_hooks_run_in_their_order() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = Peer::reply_only(server.address, r#"{"userId":"ann"}"#).await.unwrap();
    // What the socket's hook sends comes before anything that a client is told.
    assert_eq!(
        ann.incoming().await,
        Incoming::Event("server-info".into(), json!({ "version": "1.0.0" }))
    );
    assert_eq!(ann.event().await.0, "dialogue:connected");
    assert_eq!(ann.join("hall").await["ok"], true);
    assert_eq!(ann.trigger("hall", "say", json!({ "text": " hi " })).await["ok"], true);
    assert_eq!(
        app.noted(13).await,
        [
            "authenticate",
            "socket_connected",
            "connected",
            "hall: before_join",
            "before_join hall",
            "hall: joined",
            "joined hall",
            "hall: before 1",
            "hall: before 2",
            "before_each say",
            "after_each say to 1",
            r#"triggered say {"text":"hi"}"#,
            "hall: on hi from ann",
        ][..]
            .iter()
            .map(|note| (*note).to_owned())
            .collect::<Vec<_>>()
    );
    ann.close().await;
    assert_eq!(
        app.noted(4).await,
        [
            r#"disconnected in ["hall"]"#,
            "hall: left",
            "ann left hall",
            "socket_disconnected, connected: false"
        ]
    );
}

#[tokio::test]
async fn before_each_may_change_data_meta_and_sender_and_nothing_else() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    ann.trigger("hall", "say", json!({ "text": "oh darn" })).await;
    let message = ann.message().await;
    assert_eq!(
        (&message["data"], &message["from"]),
        (&json!({ "text": "oh ****" }), &json!("ann"))
    );

    ann.trigger("hall", "say", json!({ "text": "in disguise" })).await;
    let message = ann.message().await;
    assert_eq!(message["from"], "somebody");
    assert_eq!(message["meta"], json!({ "disguised": true }));
    assert_eq!((&message["event"], &message["roomId"]), (&json!("say"), &json!("hall")));
}

#[tokio::test]
async fn what_before_each_refuses_or_spoils_goes_nowhere() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    for (text, code) in [
        ("deny each", "EVENT_DENIED"),
        ("void each", "VALIDATION_FAILED"),
        ("panic each", "INTERNAL"),
    ] {
        let answer = ann.trigger("hall", "say", json!({ "text": text })).await;
        assert_eq!(answer["code"], code, "{text}");
    }
    ann.silent().await;
    // The server's own code meets the same hook.
    let room = server.dialogue.room(hall::Room);
    let refused = room.trigger(Say::new("deny each")).await.unwrap_err();
    assert!(matches!(refused, TriggerError::Denied(deny) if deny.message() == "not in any room"));

    // What follows a broadcast costs nothing if it fails.
    app.notes();
    room.trigger(Say::new("panic after")).await.unwrap();
    room.trigger(Score { points: 1 }).await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "panic after");
    assert_eq!(ann.message().await["data"]["points"], 1);
    let notes = app.noted(9).await;
    assert!(notes.contains(&r#"triggered say {"text":"panic after"}"#.into()), "{notes:?}");
    assert!(notes.contains(&"after_each score to 1".into()), "{notes:?}");
}

#[tokio::test]
async fn who_does_not_see_a_room_finds_none() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let mut boss = server.with_ticket(r#"{"userId":"boss","staff":true}"#).await;
    let say = json!({ "text": "hi" });
    for answer in [
        ann.join("staff").await,
        ann.ask("dialogue:join", json!({ "roomId": "staff", "subscribe": ["unlisted"] })).await,
        ann.leave("staff").await,
        ann.trigger("staff", "say", say.clone()).await,
        ann.ask("dialogue:getHistory", json!({ "roomId": "staff", "eventName": "say" })).await,
        ann.ask("dialogue:subscribeAll", json!({ "roomId": "staff" })).await,
        ann.ask("dialogue:deleteRoom", json!({ "roomId": "staff" })).await,
    ] {
        assert_eq!(answer["code"], "ROOM_NOT_FOUND");
        assert_eq!(answer, {
            let mut unknown = ann.join("no such room").await;
            unknown["roomId"] = json!("staff");
            unknown
        });
    }
    assert_eq!(boss.join("staff").await["ok"], true);
    assert_eq!(boss.trigger("staff", "say", say).await["ok"], true);

    let listed = |rooms: serde_json::Value| -> Vec<String> {
        let rooms = rooms["rooms"].as_array().unwrap().iter();
        rooms.map(|room| room["id"].as_str().unwrap().to_owned()).collect()
    };
    let rooms = ann.ask("dialogue:listRooms", json!(null)).await;
    assert_eq!(listed(rooms), ["hall", "playground"]);
    let rooms = boss.ask("dialogue:listRooms", json!(null)).await;
    assert_eq!(listed(rooms), ["hall", "staff", "playground"]);

    // The hook that panics says no, and the server's own joins ask it, too.
    let mut crossed = server.guest("cross-eyed").await;
    assert_eq!(crossed.join("hall").await["code"], "ROOM_NOT_FOUND");
    let client = &server.dialogue.clients_of("ann")[0];
    assert!(client.join_id("staff").await.is_err());
    client.join(desk::Room { name: "ann".into() }).await.unwrap();
}

/// An app whose hooks all fail, except the one that lets clients in.
struct Hopeless {
    hang: bool,
}

impl Hopeless {
    async fn fail(&self) {
        if self.hang {
            std::future::pending::<()>().await;
        }
        panic!("told to");
    }
}

#[dialogue::room("plain", app = Hopeless, events(Say))]
mod plain {
    use super::*;

    #[joined]
    async fn joined(cx: &Context<Hopeless, Room>, _: &Client<Hopeless>) {
        cx.app().fail().await;
    }

    #[left]
    async fn left(cx: &Context<Hopeless, Room>, _: &Client<Hopeless>) {
        cx.app().fail().await;
    }

    #[on]
    async fn heard(cx: &Context<Hopeless, Room>, _: &EventMessage<Say>) {
        cx.app().fail().await;
    }
}

#[dialogue::app(rooms(plain))]
impl App for Hopeless {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn socket_connected(&self, _: &Socket) {
        self.fail().await;
    }

    async fn socket_disconnected(&self, _: &Socket) {
        self.fail().await;
    }

    async fn connected(&self, _: &Client<Self>) {
        self.fail().await;
    }

    async fn disconnected(&self, _: &Client<Self>, _: DisconnectReason) {
        self.fail().await;
    }

    async fn before_join(&self, client: &Client<Self>, _: &AnyRoom<Self>) -> Result<(), Deny> {
        if client.user_id() == "unlucky" {
            self.fail().await;
        }
        Ok(())
    }

    async fn joined(&self, _: &Client<Self>, _: &AnyRoom<Self>) {
        self.fail().await;
    }

    async fn left(&self, _: &Client<Self>, _: &AnyRoom<Self>) {
        self.fail().await;
    }

    async fn create_room(&self, _: &Client<Self>, _: CreateRoom) -> Result<RoomConfig, Deny> {
        self.fail().await;
        Err(Deny::new("unreachable"))
    }

    async fn room_created(&self, _: &AnyRoom<Self>) {
        self.fail().await;
    }

    async fn room_deleted(&self, _: &str) {
        self.fail().await;
    }

    fn after_each(&self, _: &RawMessage, _: usize) {
        panic!("told to");
    }

    async fn triggered(&self, _: &RawMessage) {
        self.fail().await;
    }
}

#[tokio::test]
async fn every_hook_may_panic_or_hang_and_costs_its_own_request_alone() {
    for hang in [false, true] {
        let mut limits = unpaced();
        limits.hook_time = Duration::from_millis(20);
        let server = Server::with_limits(Hopeless { hang }, limits).await;
        let idle = server.dialogue.stats();
        let config = RoomConfig::new("Game").event::<Say>();
        let game = server.dialogue.create_room("game", config).await.unwrap();
        let mut ann = server.connect("ann").await;
        let mut unlucky = server.connect("unlucky").await;
        assert_eq!(unlucky.join("plain").await["code"], "INTERNAL");
        for room in ["plain", "game"] {
            assert_eq!(ann.join(room).await["ok"], true);
            assert_eq!(ann.trigger(room, "say", json!({ "text": "hi" })).await["ok"], true);
            assert_eq!(ann.message().await["data"]["text"], "hi");
        }
        let create = json!({ "id": "mine", "name": "Mine" });
        assert_eq!(ann.ask("dialogue:createRoom", create).await["code"], "INTERNAL");
        game.delete().await.unwrap();
        assert_eq!(ann.event().await.0, "dialogue:roomDeleted");
        assert_eq!(ann.leave("plain").await["ok"], true);
        assert_eq!(ann.join("plain").await["ok"], true);
        drop((ann, unlucky));
        server.settled(|stats| stats.stored == 1 && stats.connections == 0).await;
        let stats = server.settled(|stats| stats.queued == 0).await;
        assert_eq!((stats.members, stats.rooms, stats.users), (0, idle.rooms, 0));
    }
}
