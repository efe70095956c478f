//! How much, how often and for how long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dialogue::{Dialogue, Limits, Rate};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use tracing::Level;

use crate::{
    app::Test,
    lobby::{Lobby, Poke, hall, table},
    log::log,
    peer::{Incoming, Peer},
    polling::{Poller, fetch},
    server::{Server, unpaced},
};

/// Opens a session that polls.
const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

fn hourly(times: u32) -> Rate {
    Rate::new(times, Duration::from_hours(1))
}

/// The code of an answer, and whether it says when to try again.
fn refusal(answer: &Value) -> (Option<&str>, bool) {
    (answer["code"].as_str(), answer["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0))
}

#[tokio::test]
async fn a_connection_triggers_only_so_often() {
    let mut limits = unpaced();
    limits.triggers = Some(hourly(3));
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let mut other = server.guest("ann").await;
    ann.join("hall").await;
    other.join("hall").await;
    let say = json!({ "text": "hi" });
    for _ in 0..3 {
        assert_eq!(ann.trigger("hall", "say", say.clone()).await["ok"], true);
    }
    let refused = ann.trigger("hall", "say", say.clone()).await;
    assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    // An hour for three: one more after twenty minutes.
    assert!(refused["retryAfterMs"].as_u64().unwrap() <= 1_200_000, "{refused}");
    assert_eq!(other.trigger("hall", "say", say.clone()).await["ok"], true);
    // The server's own code is not limited.
    server.dialogue.room(hall::Room).trigger(Poke).await.unwrap();
    assert_eq!(ann.leave("hall").await["ok"], true);
}

#[tokio::test]
async fn greeting_says_the_longest_message_that_the_server_takes() {
    let mut limits = unpaced();
    limits.payload = 4_096;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = Peer::reply_only(server.address, r#"{"userId":"ann"}"#).await.unwrap();
    let greeting = loop {
        let (name, body) = ann.event().await;
        if name == "dialogue:connected" {
            break body;
        }
    };
    assert_eq!(greeting["maxMessageBytes"], 4_096);
    let message = |bytes: usize| {
        let (head, tail) = (r#"420["dialogue:leave",{"roomId":""#, r#""}]"#);
        format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
    };
    ann.send_text(message(4_096)).await;
    assert!(matches!(ann.incoming().await, Incoming::Ack(0, _)));
    ann.try_send_text(message(4_097)).await;
    assert_eq!(ann.incoming().await, Incoming::Disconnected);
}

#[tokio::test]
async fn an_event_may_have_a_rate_of_its_own() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    for _ in 0..3 {
        assert_eq!(ann.trigger("hall", "poke", json!(null)).await["ok"], true);
    }
    let refused = ann.trigger("hall", "poke", json!(null)).await;
    assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    assert_eq!((&refused["roomId"], &refused["event"]), (&json!("hall"), &json!("poke")));
    assert_eq!(ann.trigger("hall", "say", json!({ "text": "hi" })).await["ok"], true);
    let mut bob = server.guest("bob").await;
    bob.join("hall").await;
    assert_eq!(bob.trigger("hall", "poke", json!(null)).await["ok"], true);
}

#[tokio::test]
async fn a_user_reads_history_and_asks_for_other_things_only_so_often() {
    let mut limits = unpaced();
    (limits.history, limits.requests) = (Some(hourly(3)), Some(hourly(5)));
    limits.joins = Some(hourly(2));
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let mut other = server.guest("ann").await;
    let history = json!({ "roomId": "hall", "eventName": "say" });
    ann.join("hall").await;
    other.join("hall").await;
    assert_eq!(ann.ask("dialogue:getHistory", history.clone()).await["ok"], true);
    for peer in [&mut ann, &mut other] {
        assert_eq!(peer.ask("dialogue:getHistory", history.clone()).await["ok"], true);
    }
    // All connections of a user share it.
    for peer in [&mut ann, &mut other] {
        let refused = peer.ask("dialogue:getHistory", history.clone()).await;
        assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    }
    assert_eq!(ann.join("hall").await["ok"], true);
    assert_eq!(refusal(&ann.join("hall").await), (Some("RATE_LIMITED"), true));
    for _ in 0..5 {
        let unknown = ann.ask("dialogue:unheard-of", json!(null)).await;
        assert_eq!(refusal(&unknown).0, Some("INVALID_REQUEST"));
    }
    assert_eq!(refusal(&ann.ask("dialogue:unheard-of", json!(null)).await).0, Some("RATE_LIMITED"));
    assert_eq!(other.join("hall").await["ok"], true);
    assert_eq!(ann.trigger("hall", "say", json!({ "text": "hi" })).await["ok"], true);
}

#[test]
fn the_defaults_are_those_of_the_protocol() {
    let limits = Limits::default();
    assert_eq!(limits.triggers, Some(Rate::per_second(100).burst(200)));
    assert_eq!(limits.history, Some(Rate::per_second(5).burst(20)));
    assert_eq!(limits.joins, Some(Rate::per_second(10).burst(200)));
    assert_eq!((limits.payload, limits.attachments, limits.depth), (1_000_000, 10, 32));
    assert_eq!(
        (limits.handshake_time, limits.hook_time),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    assert_eq!(limits.connections_per_address, 1_000.min(limits.connections / 8));
    assert_eq!((limits.rooms_per_connection, limits.created_rooms), (100, 10_000));
    assert_eq!((limits.subscriptions_per_room, limits.rooms_per_user), (100, 20));
    assert_eq!((limits.page_events, limits.page_bytes), (100, 256_000));
    assert_eq!((limits.outgoing_packets, limits.waiting_events), (128, 1_024));
    assert_eq!((limits.outgoing_bytes, limits.waiting_bytes), (1_000_000, 4_000_000));
    assert_eq!((limits.address_bytes, limits.total_bytes), (30_000_000, 512_000_000));
    assert_eq!(limits.containers, 20_000);
    assert_eq!(limits.incoming, Some(Rate::per_second(1_000_000).burst(4_000_000)));
    assert_eq!(limits.incoming_per_address, Some(Rate::per_second(10_000_000).burst(20_000_000)));
    assert_eq!(limits.creations_per_address, Some(Rate::per_second(5).burst(100)));
    assert_eq!((limits.head, limits.attachment_bytes), (16_384, 16_384));
    assert_eq!((limits.rooms_per_address, limits.page_rooms), (100, 1_000));
    assert_eq!(
        (limits.join_time, limits.write_time),
        (Duration::from_secs(10), Duration::from_secs(20))
    );
    assert_eq!(limits.empty_time, Duration::from_mins(10));
    assert_eq!(limits.connects_per_address, Some(Rate::per_second(100).burst(1_000)));
    assert_eq!(limits.connects_in_all, Some(Rate::per_second(5_000).burst(20_000)));
    assert_eq!(limits.triggers_per_address, Some(Rate::per_second(2_000).burst(10_000)));
    assert_eq!(limits.triggers_in_all, Some(Rate::per_second(100_000).burst(200_000)));
    assert_eq!(limits.answers, Some(Rate::per_second(2_000_000).burst(20_000_000)));
    assert_eq!(limits.answers_per_address, Some(Rate::per_second(20_000_000).burst(200_000_000)));
    assert!(limits.connections >= 64);
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let mut limits = unpaced();
    limits.connections_per_address = 2;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let first = server.guest("ann").await;
    let second = server.guest("bob").await;
    let (head, body) = fetch(server.address, OPEN, "").await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    assert!(head.contains("retry-after: 5"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let expected = ("LIMIT_EXCEEDED", "connections_per_address");
    assert_eq!((&body["code"], &body["limit"]), (&json!(expected.0), &json!(expected.1)));
    let stats = server.dialogue.stats();
    assert_eq!((stats.connections, stats.addresses, stats.refused), (2, 1, 1));
    first.close().await;
    server.settled(|stats| stats.connections == 1).await;
    // Its transport ends a moment later.
    while !fetch(server.address, OPEN, "").await.0.starts_with("HTTP/1.1 200") {}
    drop(second);
}

#[tokio::test]
async fn polling_sessions_of_an_address_at_its_limit_are_all_served() {
    const USERS: usize = 110;
    let mut limits = unpaced();
    limits.connections_per_address = USERS;
    let server = Server::with_limits(Test::default(), limits).await;
    let mut pollers = Vec::new();
    for n in 0..USERS {
        let auth = format!(r#"{{"userId":"user-{n}"}}"#);
        pollers.push(Poller::connect(server.address, &auth, "").await.unwrap());
    }
    // The greeting.
    for poller in &pollers {
        poller.poll().await;
    }
    let (head, body) = fetch(server.address, OPEN, "").await;
    assert!(head.starts_with("HTTP/1.1 429") && body.contains("connections_per_address"), "{head}");
    let before = server.dialogue.stats().refused;
    for _ in 0..3 {
        // Each has two requests at once, on two connections.
        let mut polls = tokio::task::JoinSet::new();
        for poller in &pollers {
            let poller = Poller::of(server.address, &poller.session_id);
            polls.spawn(async move { poller.poll().await });
        }
        let asked = pollers.iter().map(|poller| poller.send(r#"427["dialogue:listRooms"]"#));
        futures_util::future::join_all(asked).await;
        while let Some(polled) = polls.join_next().await {
            assert!(polled.unwrap()[0].starts_with("437"));
        }
    }
    let stats = server.dialogue.stats();
    assert_eq!((stats.connections, stats.refused), (USERS, before));
}

#[tokio::test]
async fn upload_is_refused_and_a_poll_served_when_the_memory_of_their_address_is_used_up() {
    let mut limits = unpaced();
    // A third of it is what two uploads count.
    limits.address_bytes = 250_000;
    let server = Server::with_limits(Test::default(), limits).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    poller.poll().await;
    poller.send(r#"427["dialogue:listRooms"]"#).await;
    let path = format!("{OPEN}&sid={}", poller.session_id);
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n4");
    let mut unfinished = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        unfinished.push(stream);
    }
    let refused = async {
        loop {
            // Until both have arrived, it is served.
            let (head, body) = poller.post(r#"427["dialogue:listRooms"]"#).await;
            if head.starts_with("HTTP/1.1 429") {
                return body;
            }
        }
    };
    let body = tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    assert!(body.contains(r#""limit":"address_bytes""#), "{body}");
    assert!(poller.poll().await[0].starts_with("437"));
}

#[tokio::test]
async fn connection_that_waits_longest_makes_room_for_a_request_of_a_session() {
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    limits.handshake_time = Duration::from_hours(1);
    let server = Server::with_limits(Test::default(), limits).await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    poller.poll().await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    for stream in &mut idle[..2] {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    poller.send(r#"427["dialogue:listRooms"]"#).await;
    assert!(poller.poll().await[0].starts_with("437"));
    server.settled(|stats| stats.refused >= 2).await;
}

#[tokio::test]
async fn answer_that_is_being_written_is_not_cut_off_for_connections_that_wait() {
    // More than the buffers of both ends take.
    const LENGTH: usize = 64_000_000;
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    limits.handshake_time = Duration::from_hours(1);
    let routes = axum::Router::new().route("/", axum::routing::get(async || vec![1; LENGTH]));
    let server = Server::with_routes(Test::default(), limits, routes).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    slow.read_exact(&mut [0]).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    for stream in &mut idle[..2] {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    // It counts as one that is served.
    let (head, _) = fetch(server.address, "/", "").await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    let (mut read, mut buffer) = (0, vec![0; 1_000_000]);
    while read < LENGTH {
        let more = slow.read(&mut buffer).await.unwrap();
        assert!(more > 0, "closed after {read} bytes");
        read += more;
    }
    // Once it is written, the connection waits as others do.
    for _ in 0..2 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    while slow.read(&mut buffer).await.unwrap() > 0 {}
}

#[tokio::test]
async fn request_of_no_session_over_the_limit_of_its_address_is_refused() {
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, released) = (begun.clone(), release.clone());
    let slow = axum::routing::get(async move || {
        begins.notify_one();
        released.notified().await;
        "done"
    });
    let routes = axum::Router::new().route("/slow", slow);
    let server = Server::with_routes(Test::default(), limits, routes).await;
    let address = server.address;
    let poller = Poller::connect(address, r#"{"userId":"ann"}"#, "").await.unwrap();
    let first = tokio::spawn(async move { fetch(address, "/slow", "").await });
    begun.notified().await;
    let (head, body) = fetch(address, "/", "").await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    assert!(body.contains(r#""limit":"connections_per_address""#), "{body}");
    poller.send(r#"427["dialogue:listRooms"]"#).await;
    assert!(fetch(address, "/dialogue/ready", "").await.0.starts_with("HTTP/1.1 200"));
    release.notify_one();
    assert_eq!(first.await.unwrap().1, "done");
    while !fetch(address, "/", "").await.0.starts_with("HTTP/1.1 404") {}
}

#[tokio::test]
async fn refusals_of_a_proxy_that_is_not_named_are_logged_once() {
    let (lines, _guard) = log(Level::WARN);
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let _ann = server.guest("ann").await;
    for client in ["192.0.2.1", "192.0.2.2"] {
        let forwarded = format!("x-forwarded-for: {client}\r\n");
        let (head, _) = fetch(server.address, OPEN, &forwarded).await;
        assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    }
    let lines = lines.take();
    let refusals: Vec<_> = lines.iter().filter(|line| line.contains("limit=")).collect();
    let [line] = &refusals[..] else { panic!("{lines:?}") };
    for part in ["127.0.0.1", "connections_per_address", "X-Forwarded-For", "Builder::proxies"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(server.dialogue.stats().refused, 2);
}

#[tokio::test]
async fn behind_a_proxy_clients_are_told_apart_by_what_it_says() {
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let builder = Dialogue::builder(Lobby::default()).limits(limits).proxies(["127.0.0.0/8"]);
    let server = Server::built(builder, axum::Router::new()).await;
    let from = async |client| Peer::via(server.address, client, r#"{"userId":"ann"}"#).await;
    let mut ann = from("192.0.2.1").await.unwrap();
    let _bob = from("198.51.100.9, 192.0.2.2").await.unwrap();
    let address = server.dialogue.clients()[0].handshake().address().unwrap();
    assert!(address.to_string().starts_with("192.0.2."), "{address}");
    assert_eq!(from("192.0.2.1").await.map(drop), Err(json!(429)));
    // What the client itself writes before the proxy's word counts for nothing.
    assert_eq!(from("203.0.113.5, 192.0.2.1").await.map(drop), Err(json!(429)));
    assert_eq!(server.dialogue.stats().addresses, 2);
    // A transport counts without a session, too.
    ann.send_text("41").await;
    server.settled(|stats| stats.connections == 1).await;
    assert_eq!(from("192.0.2.1").await.map(drop), Err(json!(429)));
    let forwarded = "x-forwarded-for: 192.0.2.1\r\n";
    let (head, _) = fetch(server.address, "/socket.io/?EIO=4&transport=polling", forwarded).await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    ann.close().await;
    server.settled(|stats| stats.addresses == 1).await;
    from("192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn a_server_holds_only_so_many_connections() {
    let mut limits = unpaced();
    limits.connections = 1;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let ann = server.guest("ann").await;
    let (head, _) = fetch(server.address, "/", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        // To close with the request unread would be a reset, which may discard the answer.
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    drop(ann);
    while !fetch(server.address, "/", "").await.0.starts_with("HTTP/1.1 404") {}
}

/// Sends what is no whole request, and waits until the server closes the connection.
async fn stall(server: &Server<Lobby>, text: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    let _ = read.await.unwrap_or_else(|_| panic!("not closed after {text:?}"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up() {
    let mut limits = unpaced();
    limits.handshake_time = Duration::from_millis(300);
    limits.request_time = Duration::from_millis(300);
    let server = Server::with_limits(Lobby::default(), limits).await;
    stall(&server, "").await;
    stall(&server, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n").await;
    let poller =
        crate::polling::Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n4",
        poller.session_id
    );
    let answer = stall(&server, &head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_transport_connects_only_so_often() {
    let mut limits = unpaced();
    limits.connects = Some(hourly(2));
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    for again in [true, false] {
        ann.send_text("41").await;
        server.settled(|stats| stats.connections == 0).await;
        ann.send_text(r#"40{"userId":"ann"}"#).await;
        loop {
            match ann.incoming().await {
                Incoming::Connected => break assert!(again),
                Incoming::ConnectError(error) => {
                    let error: Value =
                        serde_json::from_str(error["message"].as_str().unwrap()).unwrap();
                    break assert!(!again && error["code"] == "RATE_LIMITED", "{error}");
                }
                _ => {}
            }
        }
        server.settled(|stats| (stats.connections == 1) == again).await;
    }
}

#[tokio::test]
async fn rooms_are_created_only_so_often_and_only_so_many() {
    let mut limits = unpaced();
    (limits.creations, limits.created_rooms) = (Some(hourly(3)), 2);
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let mut bob = server.guest("bob").await;
    let request = |id: &str| json!({ "id": id, "name": "Mine" });
    assert_eq!(ann.ask("dialogue:createRoom", request("a")).await["ok"], true);
    assert_eq!(bob.ask("dialogue:createRoom", request("b")).await["ok"], true);
    // All users together.
    assert_eq!(bob.ask("dialogue:createRoom", request("c")).await["code"], "LIMIT_EXCEEDED");
    assert_eq!(ann.ask("dialogue:deleteRoom", json!({ "roomId": "a" })).await["ok"], true);
    assert_eq!(bob.ask("dialogue:createRoom", request("c")).await["ok"], true);
    let refused = bob.ask("dialogue:deleteRoom", json!({ "roomId": "b" })).await;
    assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    // The server's own code creates as many as it likes.
    server.dialogue.create_room("d", dialogue::RoomConfig::new("D")).await.unwrap();
}

#[tokio::test]
async fn join_over_the_memory_of_its_address_is_rejected_until_another_leaves() {
    let mut limits = unpaced();
    limits.address_bytes = 80_000;
    let server = Server::with_limits(Lobby::default(), limits).await;
    for number in 0..40 {
        server.dialogue.room(table::Room { number }).create().await.unwrap();
    }
    let mut ann = server.guest("ann").await;
    let (mut joined, mut refused) = (Vec::new(), None);
    for number in 0..40 {
        let answer = ann.join(&format!("table:{number}")).await;
        if answer["ok"] == true {
            joined.push(number);
        } else {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("some join is rejected");
    assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    // 2,500 bytes each.
    assert!((10..=18).contains(&joined.len()), "{} joins", joined.len());
    assert_eq!(server.dialogue.stats().members, joined.len());
    // Whose connection it is makes no difference, and the first bytes of each are free.
    let mut bob = server.guest("bob").await;
    for number in &joined[..2] {
        bob.join(&format!("table:{number}")).await;
    }
    for number in &joined {
        assert_eq!(ann.leave(&format!("table:{number}")).await["ok"], true);
    }
    for number in 20..30 {
        let answer = bob.join(&format!("table:{number}")).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    drop((ann, bob));
    server.settled(|stats| stats.members == 0).await;
    let mut cat = server.guest("cat").await;
    for number in &joined {
        assert_eq!(cat.join(&format!("table:{number}")).await["ok"], true);
    }
}

#[tokio::test]
async fn client_that_sends_too_much_is_read_more_slowly() {
    for per_address in [false, true] {
        let mut limits = unpaced();
        let rate = Some(Rate::per_second(50_000).burst(100_000));
        if per_address {
            limits.incoming_per_address = rate;
        } else {
            limits.incoming = rate;
        }
        let server = Server::with_limits(Lobby::default(), limits).await;
        let mut ann = server.guest("ann").await;
        let began = Instant::now();
        // A request weighs its bytes and 1,024 more.
        for _ in 0..200 {
            ann.feed("42[\"dialogue:leave\",{\"roomId\":\"x\"}]").await;
        }
        ann.flush().await;
        for _ in 0..200 {
            assert_eq!(ann.event().await.0, "dialogue:error");
        }
        let took = began.elapsed();
        assert!(took > Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test]
async fn connections_of_one_address_that_end_together_end_one_after_another() {
    let mut limits = unpaced();
    limits.incoming_per_address = Limits::default().incoming_per_address;
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut guests = Vec::new();
    for n in 0..132 {
        guests.push(server.guest(&format!("guest{n}")).await);
    }
    assert_eq!(server.dialogue.stats().connections, 132);
    let began = Instant::now();
    drop(guests);
    server.settled(|stats| stats.connections == 0).await;
    // After 32 at once, 500 in each second.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

#[tokio::test]
async fn room_creations_of_an_address_have_a_rate_whoever_asks() {
    let mut limits = unpaced();
    limits.creations_per_address = Some(hourly(3));
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut guests = [server.guest("ann").await, server.guest("bob").await];
    let mut allowed = Vec::new();
    for n in 0..5 {
        let create = json!({ "id": format!("room-{n}"), "name": "Room" });
        let answer = guests[n % 2].ask("dialogue:createRoom", create).await;
        allowed.push(answer["ok"] == true);
        if n > 2 {
            assert_eq!(refusal(&answer), (Some("RATE_LIMITED"), true), "{answer}");
        }
    }
    assert_eq!(allowed, [true, true, true, false, false]);
}

#[tokio::test]
async fn long_answer_over_the_memory_of_its_address_is_rejected_and_ends_with_its_client() {
    let mut limits = unpaced();
    (limits.address_bytes, limits.page_bytes) = (800_000, 100_000);
    limits.join_time = Duration::from_secs(2);
    let server = Server::with_limits(Lobby::default(), limits).await;
    let mut ann = server.guest("ann").await;
    let eve = Poller::connect(server.address, r#"{"userId":"eve"}"#, "").await.unwrap();
    let mut upload = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\ncontent-length: 750000\r\n\r\n4",
        eve.session_id
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&vec![b'x'; 740_000]).await.unwrap();
    let refused = loop {
        let answer = ann.ask("dialogue:listRooms", Value::Null).await;
        if answer["ok"] == false {
            break answer;
        }
    };
    assert_eq!(refusal(&refused), (Some("RATE_LIMITED"), true), "{refused}");
    // One that waits for memory does not outlive its connection.
    ann.emit("dialogue:listRooms", Value::Null).await;
    ann.close().await;
    server.settled(|stats| stats.connections == 1).await;
    drop(upload);
    let mut bob = server.guest("bob").await;
    while bob.ask("dialogue:listRooms", Value::Null).await["ok"] == false {}
}
