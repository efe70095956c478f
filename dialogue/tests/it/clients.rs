//! Clients as the server's own code finds them.

use std::sync::{Arc, Mutex};

use dialogue::{
    AnyRoom, App, Client, Context, Deny, Dialogue, EventMessage, Handshake, JoinError, RoomConfig,
    SendError, SubscribeError, TriggerError,
    auth::{ClaimedUser, TrustClientUserId},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    app::{Test, doc, general, special},
    lobby::{Lobby, Say, Score, Welcome, desk, hall, playground},
    server::Server,
};

#[tokio::test]
async fn a_user_with_several_connections_is_found_by_one_id() {
    let server = Server::start(Test::default()).await;
    let dialogue = &server.dialogue;
    assert!(dialogue.clients().is_empty() && dialogue.clients_of("ann").is_empty());

    let first = server.connect("ann").await;
    let second = server.connect("ann").await;
    let bob = server.connect("bob").await;
    let ids: Vec<String> =
        dialogue.clients_of("ann").iter().map(|client| client.id().to_string()).collect();
    assert_eq!(ids, [&*first.client_id, &*second.client_id]);
    assert_eq!(dialogue.clients().len(), 3);
    assert_eq!((dialogue.stats().connections, dialogue.stats().users), (3, 2));
    let found = &dialogue.clients_of("bob")[0];
    assert_eq!(dialogue.client(found.id()).unwrap().user_id(), "bob");
    let gone = found.id();

    drop((first, bob));
    server.settled(|stats| stats.connections == 1 && stats.users == 1).await;
    assert_eq!(dialogue.clients_of("ann")[0].id().to_string(), second.client_id);
    assert!(dialogue.client(gone).is_none() && dialogue.clients_of("bob").is_empty());
}

#[tokio::test]
async fn a_user_is_in_the_rooms_of_all_its_connections() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let dialogue = &server.dialogue;
    let mut first = server.join("ann", "general").await;
    first.join("doc:1").await;
    let mut second = server.join("ann", "general").await;
    let mut bob = server.join("bob", "general").await;
    bob.join("doc:7").await;

    assert!(dialogue.is_in_room("ann", general::Room));
    assert!(dialogue.is_in_room("ann", doc::Room { id: 1 }));
    assert!(!dialogue.is_in_room("ann", doc::Room { id: 2 }));
    assert!(!dialogue.is_in_room("nobody", general::Room));
    // `doc:7` is the id of a static room, too, and that is the one that Bob is in.
    assert!(dialogue.is_in_room("bob", special::Room));
    assert!(!dialogue.is_in_room("bob", doc::Room { id: 7 }));
    let clients = dialogue.clients_of("ann");
    assert!(clients[0].is_in(doc::Room { id: 1 }) && !clients[1].is_in(doc::Room { id: 1 }));

    let rooms = dialogue.rooms_of("ann");
    assert_eq!(rooms.ids().collect::<Vec<_>>(), ["doc:1", "general"]);
    let mut visited = Vec::new();
    rooms
        .for_each(|room| {
            visited.push((room.id().to_owned(), room.size()));
            std::future::ready(())
        })
        .await;
    assert_eq!(visited, [("doc:1".to_owned(), 1), ("general".to_owned(), 3)]);
    assert!(dialogue.is_in_room("ann", general::Room));

    // The user is still there when it is said to leave.
    let mut sizes = Vec::new();
    rooms
        .leave_all(|room| {
            sizes.push(room.size());
            std::future::ready(())
        })
        .await;
    assert_eq!(sizes, [1, 3]);
    assert_eq!(first.event().await.0, "dialogue:left");
    assert_eq!(first.event().await.0, "dialogue:left");
    assert_eq!(second.event().await.0, "dialogue:left");
    assert_eq!(dialogue.rooms_of("ann").ids().count(), 0);
    assert_eq!(dialogue.room(general::Room).size(), 1);
    let left = app.noted(6).await;
    let left: Vec<&String> = left.iter().filter(|note| note.starts_with("general: left")).collect();
    assert_eq!(left, ["general: left ann size 1", "general: left ann size 1"]);
}

#[tokio::test]
async fn a_client_is_made_to_join_subscribe_and_leave() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let client = server.dialogue.clients_of("ann").remove(0);
    assert_eq!(client.subscribe::<Say>(hall::Room), Err(SubscribeError::NotInRoom));
    client.join(hall::Room).await.unwrap();
    assert_eq!(ann.event().await.0, "dialogue:joined");
    assert_eq!(ann.event().await.0, "dialogue:history");
    assert_eq!(client.rooms(), ["hall"]);
    assert_eq!(client.subscriptions(hall::Room), ["say", "poke", "score"]);

    client.unsubscribe::<Say>(hall::Room).unwrap();
    let room = server.dialogue.room(hall::Room);
    assert_eq!(room.trigger(Say::new("unheard")).await.unwrap().recipients, 0);
    client.subscribe_id("hall", "say").unwrap();
    assert_eq!(client.subscriptions(hall::Room), ["poke", "score", "say"]);
    room.trigger(Say::new("heard")).await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "heard");
    client.unsubscribe_id("hall", "*").unwrap();
    assert!(client.subscriptions_id("hall").is_empty());
    client.subscribe_all(hall::Room).unwrap();
    assert_eq!(client.subscriptions_id("hall").len(), 3);
    let unlisted = client.subscribe_id("hall", "other");
    assert!(
        matches!(&unlisted, Err(SubscribeError::EventNotListed(error)) if error.event == "other"),
        "{unlisted:?}"
    );
    assert_eq!(client.subscribe_id("staff", "say"), Err(SubscribeError::NotInRoom));

    assert_eq!(client.join_id("no such room").await, Err(JoinError::RoomNotFound));
    client.join_id("desk:ann").await.unwrap();
    assert_eq!(ann.event().await.0, "dialogue:joined");
    assert!(client.is_in(desk::Room { name: "ann".into() }));
    assert!(client.leave_id("desk:ann").await && !client.leave_id("desk:ann").await);
    assert_eq!(ann.event().await.0, "dialogue:left");
    assert!(client.leave(hall::Room).await);
    assert_eq!(ann.event().await.0, "dialogue:left");
    assert_eq!(client.subscriptions(hall::Room), [""; 0]);
}

#[tokio::test]
async fn an_event_is_sent_to_one_client() {
    let server = Server::start(Lobby::default()).await;
    let mut newcomer = server.guest("newcomer").await;
    let mut ann = server.guest("ann").await;
    let welcome = json!({ "motd": "Be kind." });
    assert_eq!(newcomer.event().await, ("welcome".into(), welcome.clone()));
    let client = server.dialogue.clients_of("ann").remove(0);
    client.send(Welcome { motd: "Be kind.".into() }).await.unwrap();
    assert_eq!(ann.event().await, ("welcome".into(), welcome));
    newcomer.silent().await;
    let wrong = client.send(Welcome { motd: String::new() }).await;
    assert!(matches!(wrong, Err(SendError::Invalid(issues)) if issues[0].path == "motd"));
    ann.close().await;
    server.settled(|stats| stats.connections == 1).await;
    assert_eq!(client.send(Welcome { motd: "?".into() }).await, Err(SendError::Closed));
}

#[tokio::test]
async fn a_client_knows_its_socket_and_how_it_connected() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let client = server.dialogue.clients_of("ann").remove(0);
    assert_eq!(client.id().to_string(), ann.client_id);
    assert!(!client.identity().staff);
    let handshake = client.handshake();
    assert_eq!(handshake.client_id(), client.id());
    assert_eq!(handshake.uri().path(), "/socket.io/");
    assert!(handshake.headers().contains_key("sec-websocket-key"));
    assert_eq!(handshake.address().unwrap().to_string(), "127.0.0.1");
    client.socket().unwrap().emit("raw", &json!([1])).unwrap();
    assert_eq!(ann.event().await, ("raw".into(), json!([1])));
    server.dialogue.io().emit("global", &json!({})).await.unwrap();
    assert_eq!(ann.event().await, ("global".into(), json!({})));
}

/// An app whose hooks look at the whole server.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    fn see(&self, hook: &str, dialogue: &Dialogue<Self>) {
        let clients = dialogue.clients();
        let users: Vec<&str> = clients.iter().map(Client::user_id).collect();
        let rooms = dialogue.rooms();
        let rooms: Vec<&str> = rooms.iter().map(AnyRoom::id).collect();
        self.0.lock().unwrap().push(format!("{hook}: {users:?} in {rooms:?}"));
    }
}

#[dialogue::room("tower", app = Watch, events(Say))]
mod tower {
    use super::*;

    #[joined]
    async fn climb(cx: &Context<Watch, Room>, _: &Client<Watch>) {
        cx.app().see("room's handler", cx.dialogue());
        cx.dialogue().io().emit("seen", &json!({})).await.unwrap();
    }
}

#[dialogue::app(rooms(tower))]
impl App for Watch {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn connected(&self, client: &Client<Self>) {
        self.see("connected", client.dialogue());
    }

    async fn joined(&self, _: &Client<Self>, room: &AnyRoom<Self>) {
        self.see("joined", room.dialogue());
    }
}

#[tokio::test]
async fn hooks_reach_all_clients_all_rooms_and_the_transport() {
    let app = Watch::default();
    let server = Server::start(app.clone()).await;
    let mut bob = server.connect("bob").await;
    let _ann = server.join("ann", "tower").await;
    assert_eq!(bob.event().await, ("seen".into(), json!({})));
    server.settled(|stats| stats.queued == 0).await;
    let seen = app.0.lock().unwrap().clone();
    let rooms = r#"in ["tower"]"#;
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen[0].starts_with("connected: ") && seen[0].ends_with(rooms), "{seen:?}");
    for (seen, hook) in seen[1..].iter().zip(["connected", "room's handler", "joined"]) {
        assert!(seen.starts_with(hook) && seen.ends_with(rooms), "{seen}");
        assert!(seen.contains(r#""ann""#) && seen.contains(r#""bob""#), "{seen}");
    }
}

#[tokio::test]
async fn an_event_may_leave_clients_out() {
    let server = Server::start(Lobby::default()).await;
    let (mut ann, mut bob) = (server.guest("ann").await, server.guest("bob").await);
    let mut eve = server.guest("eve").await;
    for peer in [&mut ann, &mut bob, &mut eve] {
        peer.join("hall").await;
    }
    let client = |user: &str| server.dialogue.clients_of(user).remove(0);
    let room = server.dialogue.room(hall::Room);
    let all_but_ann = room.trigger(Say::new("hush")).except(&client("ann")).except(&client("ann"));
    assert_eq!(all_but_ann.await.unwrap().recipients, 2);
    for peer in [&mut bob, &mut eve] {
        assert_eq!(peer.message().await["data"]["text"], "hush");
    }
    // Whoever would not have heard it anyway makes no difference.
    client("eve").unsubscribe::<Say>(hall::Room).unwrap();
    let only_bob = room.trigger(Say::new("psst")).except(&client("ann")).except(&client("eve"));
    assert_eq!(only_bob.await.unwrap().recipients, 1);
    assert_eq!(bob.message().await["data"]["text"], "psst");
    ann.silent().await;
    eve.silent().await;
    room.trigger(Say::new("all")).await.unwrap();
    assert_eq!(ann.message().await["data"]["text"], "all");
    let kept = room.history::<Say>(0..3).await.unwrap();
    let texts: Vec<_> = kept.events.iter().map(|message| &*message.data.text).collect();
    assert_eq!(texts, ["all", "psst", "hush"]);
}

#[tokio::test]
async fn a_room_where_anything_goes_takes_names_and_json() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    assert_eq!(ann.join("playground").await["subscriptions"], json!(["*"]));
    let room = server.dialogue.room(playground::Room);
    room.trigger_raw("ball", json!({ "x": 1 })).from("gym").meta("k", "v").await.unwrap();
    let message = ann.message().await;
    assert_eq!((&message["event"], &message["data"]), (&json!("ball"), &json!({ "x": 1 })));
    assert_eq!((&message["from"], &message["meta"]), (&json!("gym"), &json!({ "k": "v" })));
    room.trigger_raw("say", json!({ "text": "typed", "more": 1 })).await.unwrap();
    assert_eq!(ann.message().await["data"], json!({ "text": "typed" }));
    let refused = room.trigger_raw("say", json!({})).await.unwrap_err();
    assert!(matches!(refused, TriggerError::Invalid(issues) if issues[0].path == "text"));
    room.trigger(Score { points: 3 }).await.unwrap();
    assert_eq!(ann.message().await["event"], "score");
}

#[tokio::test]
async fn whoever_is_made_to_leave_while_it_triggers_is_not_heard() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    ann.join("hall").await;
    bob.join("hall").await;
    let entered = Arc::new(Notify::new());
    let (seen, go_on) = (entered.clone(), Arc::new(Notify::new()));
    let gate = go_on.clone();
    let room = server.dialogue.room(hall::Room);
    let _slow = room.before(move |message: EventMessage<Say>| {
        let (seen, gate) = (seen.clone(), gate.clone());
        async move {
            seen.notify_one();
            gate.notified().await;
            Ok(message)
        }
    });
    let say = json!({ "roomId": "hall", "event": "say", "data": { "text": "one last word" } });
    ann.emit("dialogue:trigger", say).await;
    entered.notified().await;
    assert!(server.dialogue.clients_of("ann")[0].leave(hall::Room).await);
    go_on.notify_one();
    assert_eq!(ann.event().await.0, "dialogue:left");
    let (name, failure) = ann.event().await;
    assert_eq!((&*name, &failure["code"]), ("dialogue:error", &json!("NOT_IN_ROOM")));
    bob.silent().await;
}

#[tokio::test]
async fn what_was_begun_is_finished_even_if_nobody_waits_for_it() {
    let app = Lobby::default();
    let server = Server::start(app.clone()).await;
    let config = RoomConfig::new("Game").event::<Say>();
    let room = server.dialogue.create_room("game", config).await.unwrap();
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    for peer in [&mut ann, &mut bob] {
        peer.join("game").await;
        peer.join("hall").await;
    }
    app.notes();
    // As a route's future is, whose client goes away.
    let client = server.dialogue.clients_of("ann").remove(0);
    let mut leaving = client.leave(hall::Room);
    assert!(futures_util::FutureExt::now_or_never(&mut leaving).is_none());
    drop(leaving);
    let mut deleting = Box::pin(room.delete());
    assert!(futures_util::FutureExt::now_or_never(&mut deleting).is_none());
    drop(deleting);
    let mut notes = app.noted(5).await;
    notes.sort();
    assert_eq!(
        notes,
        ["ann left game", "ann left hall", "bob left game", "hall: left", "room_deleted game"]
    );
}
