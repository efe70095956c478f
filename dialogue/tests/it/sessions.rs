//! How sessions end: completely, whatever is going on, and without a ghost.

use std::{future::Future, sync::Arc, time::Duration};

use dialogue::{
    App, Client, Deny, DisconnectReason, EventMessage, Handshake, Limits, TriggerError,
    auth::{ClaimedUser, TrustClientUserId},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    sync::mpsc,
};

use crate::{
    app::{Message, Notice, Ping, Test, doc, general, single},
    peer::{Incoming, Peer},
    polling::Poller,
    server::{Server, unpaced},
};

fn short_hooks() -> Limits {
    let mut limits = unpaced();
    limits.hook_time = Duration::from_millis(300);
    limits
}

#[tokio::test]
async fn a_transport_has_one_session_at_a_time() {
    let app = Test::default();
    let server = Server::with_limits(app.clone(), short_hooks()).await;
    let mut ann = server.join("ann", "general").await;
    app.noted(1).await;
    let hang = json!({ "roomId": "general", "event": "message", "data": { "text": "hang" } });
    ann.emit("dialogue:trigger", hang).await;
    assert_eq!(app.noted(1).await, ["hanging"]);
    // Leaves, and at once wants to be somebody else.
    ann.send_text("41").await;
    ann.send_text(r#"40{"userId":"eve"}"#).await;
    match ann.incoming().await {
        Incoming::ConnectError(error) => {
            assert!(error["message"].as_str().unwrap().contains("INTERNAL"));
        }
        other => panic!("{other:?}"),
    }
    // Once the first session has ended, there may be another.
    server.settled(|stats| stats.connections == 0).await;
    let eve = loop {
        ann.send_text(r#"40{"userId":"eve"}"#).await;
        match ann.incoming().await {
            Incoming::ConnectError(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Incoming::Connected => break ann.event().await.1,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(eve["userId"], "eve");
    assert_ne!(eve["clientId"], ann.client_id);
    assert_eq!(ann.join("general").await["ok"], true);
    assert_eq!(ann.trigger("general", "message", json!({ "text": "hi" })).await["ok"], true);
    assert_eq!(ann.message().await["from"], "eve");
}

/// Its hooks panic when they are called, not when they are awaited.
struct Eager;

#[dialogue::app(rooms(eager::single))]
impl App for Eager {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> impl Future<Output = Result<ClaimedUser, Deny>> + Send {
        assert_ne!(who.user_id.as_deref(), Some("nobody"), "told to");
        std::future::ready(who.or_client_id(handshake))
    }

    fn connected(&self, client: &Client<Self>) -> impl Future<Output = ()> + Send {
        assert_ne!(client.user_id(), "connected", "told to");
        std::future::ready(())
    }

    fn disconnected(
        &self,
        client: &Client<Self>,
        _: DisconnectReason,
    ) -> impl Future<Output = ()> + Send {
        assert_ne!(client.user_id(), "disconnected", "told to");
        std::future::ready(())
    }
}

#[tokio::test]
async fn a_hook_that_panics_before_its_future_exists_leaves_no_ghost() {
    use eager::single;

    let server = Server::start(Eager).await;
    let error = Peer::connect(server.address, r#"{"userId":"nobody"}"#).await.err().unwrap();
    assert_eq!(error["code"], "INTERNAL");
    for user in ["connected", "disconnected"] {
        let mut peer = server.connect(user).await;
        assert_eq!(peer.join("single").await["ok"], true, "{user}");
        assert_eq!(server.dialogue.room(single::Room).size(), 1);
        peer.close().await;
        server.settled(|stats| stats.connections == 0 && stats.members == 0).await;
    }
}

#[tokio::test]
async fn what_a_lost_client_still_asked_for_does_not_keep_its_place_for_long() {
    let app = Test::default();
    let server = Server::with_limits(app.clone(), short_hooks()).await;
    let mut ann = server.join("ann", "general").await;
    for n in 0..200 {
        let hang = json!(["dialogue:trigger", {
            "roomId": "general", "event": "message", "data": { "text": "hang" },
        }]);
        ann.feed(format!("42{n}{hang}")).await;
    }
    ann.feed("41").await;
    ann.flush().await;
    // Each would take 300 ms, so all of them longer than `settled` waits.
    server.settled(|stats| stats.connections == 0 && stats.members == 0).await;
}

#[tokio::test]
async fn a_client_that_the_server_disconnects_hears_nothing_more() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut puppet = server.join("puppet", "general").await;
    app.noted(1).await;
    let hang = json!({ "roomId": "general", "event": "message", "data": { "text": "hang" } });
    puppet.emit("dialogue:trigger", hang).await;
    assert_eq!(app.noted(1).await, ["hanging"]);
    let client = app.puppet.lock().unwrap().take().unwrap();
    client.disconnect();
    let room = server.dialogue.room(general::Room);
    room.trigger(Message::new("for members only")).await.unwrap();
    assert_eq!(puppet.incoming().await, Incoming::Disconnected);
}

#[tokio::test]
async fn a_hook_is_not_cut_off_where_the_server_disconnects_its_client() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let mut puppet = server.join("puppet", "general").await;
    app.noted(1).await;
    let slow = json!({ "roomId": "general", "event": "message", "data": { "text": "slow" } });
    puppet.emit("dialogue:trigger", slow).await;
    assert_eq!(app.noted(1).await, ["working"]);
    app.puppet.lock().unwrap().take().unwrap().disconnect();
    assert_eq!(puppet.incoming().await, Incoming::Disconnected);
    assert_eq!(app.noted(1).await[0], "done");
    server.settled(|stats| stats.members == 0 && stats.connections == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_listen_can_be_disconnected() {
    let mut limits = unpaced();
    limits.outgoing_packets = 4;
    let app = Test::default();
    let server = Server::with_limits(app.clone(), limits).await;
    let poller = Poller::connect(server.address, r#"{"userId":"puppet"}"#, "").await.unwrap();
    poller.send(r#"421["dialogue:join",{"roomId":"single"}]"#).await;
    let room = server.dialogue.room(single::Room);
    server.settled(|stats| stats.members == 1).await;
    // Answers that find no room, so that the session waits.
    for n in 2..10 {
        poller.send(&format!(r#"42{n}["dialogue:listRooms"]"#)).await;
    }
    app.puppet.lock().unwrap().take().unwrap().disconnect();
    server.settled(|stats| stats.members == 0 && stats.connections == 0).await;
    assert_eq!(room.size(), 0);
}

#[tokio::test]
async fn a_leave_that_is_cancelled_keeps_no_room_open() {
    let app = Test::default();
    let server = Server::with_limits(app.clone(), short_hooks()).await;
    let before = server.dialogue.stats().rooms;
    let mut peer = server.join("puppet", "doc:1").await;
    assert_eq!(server.dialogue.stats().rooms, before + 1);
    let client = app.puppet.lock().unwrap().take().unwrap();
    // Its `left` hook never ends.
    let leave = client.leave(doc::Room { id: 1 });
    assert!(tokio::time::timeout(Duration::from_millis(50), leave).await.is_err());
    assert_eq!(peer.event().await.0, "dialogue:left");
    // The hook goes on, but not for ever.
    server.settled(|stats| stats.rooms == before).await;
}

#[tokio::test]
async fn a_key_of_another_rooms_id_leaves_nothing() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let _peer = server.join("puppet", "doc:7").await;
    let client = app.puppet.lock().unwrap().take().unwrap();
    // The static room `doc:7` is not the family's.
    assert!(!client.leave(doc::Room { id: 7 }).await);
    assert_eq!(server.dialogue.room(doc::Room { id: 7 }).size(), 0);
    assert_eq!(server.dialogue.room(crate::app::special::Room).size(), 1);
}

#[tokio::test]
async fn a_handler_that_triggers_into_its_own_room_does_not_wait_for_itself() {
    let mut limits = unpaced();
    limits.waiting_events = 4;
    let app = Test::default();
    let server = Server::with_limits(app.clone(), limits).await;
    let room = server.dialogue.room(general::Room);
    let bot = room.clone();
    let _guard = room.on(move |message: Arc<EventMessage<Message>>| {
        let bot = bot.clone();
        async move {
            if message.from != "bot" {
                bot.trigger(Message::new("reply")).from("bot").await.unwrap();
            }
        }
    });
    for n in 0..20 {
        room.trigger(Message::new(&n.to_string())).await.unwrap();
    }
    // Each of forty messages is noted three times; none of the replies was lost.
    let notes = app.noted(120).await;
    assert_eq!(notes.iter().filter(|note| *note == "on reply from bot").count(), 20);

    // One that never stops is told so; its own queue does not grow without end.
    let echo = room.clone();
    let (sender, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let _echo = room.on(move |_: Arc<EventMessage<Ping>>| {
        let (echo, sender) = (echo.clone(), sender.clone());
        async move {
            for _ in 0..2 {
                if let Err(error) = echo.trigger(Ping).await {
                    sender.send(error).ok();
                }
            }
        }
    });
    room.trigger(Ping).await.unwrap();
    assert_eq!(refused.recv().await, Some(TriggerError::Overloaded));
}

#[tokio::test]
async fn an_empty_room_of_a_family_handles_its_events_in_order() {
    let app = Test::default();
    let server = Server::start(app.clone()).await;
    let before = server.dialogue.stats().rooms;
    let board = server.dialogue.room(protocol::board::Room { team: "red".into() });
    for _ in 0..10 {
        board.trigger(protocol::Wiped).await.unwrap();
    }
    assert_eq!(app.noted(20).await, ["wiping", "wiped"].repeat(10));
    server.settled(|stats| stats.rooms == before).await;
}

#[tokio::test]
async fn a_handler_may_hold_what_removes_another() {
    let server = Server::start(Test::default()).await;
    let room = server.dialogue.room(general::Room);
    let inner = room.on(|_: Arc<EventMessage<Message>>| async {});
    let dialogue = server.dialogue.clone();
    let held = Arc::new((inner, dialogue));
    let outer = room.on(move |_: Arc<EventMessage<Message>>| {
        let held = held.clone();
        async move { drop(held) }
    });
    drop(outer);
    room.trigger(Message::new("hi")).await.unwrap();
}

/// A room of its own, for the app whose hooks panic.
mod eager {
    use crate::app::Ping;

    #[dialogue::room("single", events(Ping))]
    pub mod single {}
}

#[tokio::test]
async fn a_client_that_is_disconnected_does_not_wait_for_a_rooms_handlers() {
    let mut limits = unpaced();
    (limits.waiting_events, limits.hook_time) = (1, Duration::from_mins(1));
    let server = Server::with_limits(Test::default(), limits).await;
    let mut peer = server.join("ann", "general").await;
    let room = server.dialogue.room(general::Room);
    let (sender, mut handling) = mpsc::unbounded_channel();
    let _stuck = room.on(move |_: Arc<EventMessage<Message>>| {
        let _ = sender.send(());
        std::future::pending()
    });
    // One is being handled, the next waits, and the third has no place to wait in.
    for n in 0..3 {
        let say =
            json!({ "roomId": "general", "event": "message", "data": { "text": n.to_string() } });
        peer.emit("dialogue:trigger", say).await;
    }
    handling.recv().await.unwrap();
    for text in ["0", "1"] {
        assert_eq!(peer.message().await["data"]["text"], text);
    }
    server.dialogue.clients()[0].disconnect();
    server.settled(|stats| stats.connections == 0 && stats.members == 0).await;
}

#[tokio::test]
async fn polling_client_that_closes_with_unread_answers_leaves_its_rooms() {
    let mut limits = short_hooks();
    limits.outgoing_bytes = 1_000;
    let server = Server::with_limits(Test::default(), limits).await;
    let ann = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    ann.poll().await;
    ann.send(r#"421["dialogue:join",{"roomId":"general"}]"#).await;
    server.settled(|stats| stats.members == 1).await;
    // Its requests wait until it reads, and it does not.
    let lists: Vec<_> = (0..20).map(|id| format!(r#"42{id}["dialogue:listRooms"]"#)).collect();
    ann.send(&lists.join("\u{1e}")).await;
    ann.send("1").await;
    server.settled(|stats| (stats.members, stats.connections) == (0, 0)).await;
    server.settled(|stats| stats.addresses == 0).await;
}

#[tokio::test]
async fn polling_client_that_the_server_ends_while_it_reads_leaves_its_rooms() {
    let server = Server::with_limits(Test::default(), short_hooks()).await;
    let ann = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    ann.poll().await;
    ann.send(r#"421["dialogue:join",{"roomId":"general"}]"#).await;
    server.settled(|stats| stats.members == 1).await;
    // More than what the system takes in for a client that reads the head of the answer alone.
    let notice = Notice { text: "x".repeat(8_000_000) };
    server.dialogue.room(general::Room).trigger(notice).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut poll = socket.connect(server.address).await.unwrap();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", ann.session_id);
    poll.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    assert!(poll.read(&mut [0; 100]).await.unwrap() > 0);
    // A request that waits until it has read that.
    ann.send(r#"422["dialogue:listRooms"]"#).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.dialogue.clients_of("ann")[0].disconnect();
    server.settled(|stats| (stats.members, stats.connections) == (0, 0)).await;
}
