//! Connections: who one is, how they end, how they come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode};
use dialogue::Dialogue;
use dialogue_client::{
    Client, ClientError, ConnectError, ErrorCode, JoinError, Reconnect, RequestError, State,
};
use futures_util::{FutureExt, SinkExt};
use tokio::net::TcpListener;
use tower::Layer;

use crate::{
    app::{Login, Noted, Tick, Town, Welcome, house, square},
    server::{Server, limits, soon, swiftly},
};

#[tokio::test]
async fn a_client_knows_who_it_is() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    assert_eq!(&*ann.user_id(), "ann");
    assert_eq!(ann.state(), State::Connected);
    assert_eq!(server.dialogue.clients_of("ann")[0].id().to_string(), &*ann.id());
    assert_eq!(ann.contract(), None);
}

#[tokio::test]
async fn refused_credentials_are_a_typed_error() {
    let server = Server::start().await;
    server.town.banned.lock().unwrap().insert("mallory".into());
    let error = server.client("mallory").connect().await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code, &*refusal.message), (ErrorCode::Unauthenticated, "you are banned"));
}

#[tokio::test]
async fn credentials_that_cannot_be_obtained_are_told() {
    let server = Server::start().await;
    let builder = server.client("ann").try_auth(|| async { Err::<(), _>("no token") });
    let error = builder.connect().await.unwrap_err();
    assert_eq!(error.to_string(), "the credentials could not be obtained: no token");
}

#[tokio::test]
async fn what_is_no_server_is_told_apart() {
    let nobody = Client::builder("ws://127.0.0.1:1").connect().await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Transport(_)), "{nobody:?}");
    let server = Server::start().await;
    // Here, nobody speaks TLS.
    let secure = server.proxy.url().replace("ws:", "wss:");
    let error = Client::builder(secure).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Transport(_)), "{error:?}");
    let elsewhere = server.client("ann").path("/elsewhere").connect().await.unwrap_err();
    assert!(matches!(elsewhere, ConnectError::Transport(_)), "{elsewhere:?}");
    server.proxy.stall(true);
    let silent = server.client("ann").connect_timeout(Duration::from_millis(50));
    assert!(matches!(silent.connect().await, Err(ConnectError::Timeout)));
}

#[tokio::test]
async fn client_connects_to_a_server_in_a_nested_router_by_its_path() {
    let town = Town::default();
    let chat = Dialogue::builder(town).path("/api/ws").build().await.unwrap();
    let inner = Router::new().fallback(async || StatusCode::NOT_FOUND);
    let app = Router::new().nest_service("/app", chat.layer().layer(inner));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", tcp.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        axum::serve(dialogue::listen(tcp), app).await.unwrap();
    });
    let client = |path: &str| {
        let login = || async { Login { user: "ann".into(), lasts: None } };
        Client::builder(&url).path(path).auth(login).connect()
    };
    let ann = client("/app/api/ws").await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    for elsewhere in ["/api/ws", "/app", "/app/socket.io"] {
        let error = client(elsewhere).await.unwrap_err();
        assert!(matches!(error, ConnectError::Transport(_)), "{elsewhere}: {error:?}");
    }
    serving.abort();
}

#[tokio::test]
async fn closing_ends_everything() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut welcomes, mut errors) = (square.on::<Tick>(), ann.on(), ann.errors());
    assert_eq!(welcomes.next().await, Some(Welcome { to: "ann".into() }));
    ann.close().await;
    assert_eq!(ann.state(), State::Closed);
    assert_eq!(ticks.next().await, None);
    assert_eq!(welcomes.next().await, None);
    assert!(errors.next().await.is_none());
    assert!(matches!(ann.rooms().await, Err(RequestError::Closed)));
    assert!(matches!(ann.join(square::Room).await, Err(JoinError::Closed)));
    server.noted(&Noted::Disconnected("ann".into())).await;
}

#[tokio::test]
async fn a_client_is_closed_with_the_last_of_its_handles_and_streams() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let mut states = ann.states();
    let square = ann.clone().join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    drop((ann, square));
    let room = server.dialogue.room(square::Room);
    room.trigger(Tick { by: "town".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert_eq!(*states.borrow_and_update(), State::Connected);
    drop(ticks);
    server.noted(&Noted::Disconnected("ann".into())).await;
    soon(states.wait_for(|state| *state == State::Closed)).await.unwrap();
}

#[tokio::test]
async fn what_the_server_sends_before_anybody_listens_is_kept_for_who_does_first() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    // This is answered after the greeting was sent.
    ann.rooms().await.unwrap();
    let mut welcomes = ann.on::<Welcome>();
    assert_eq!(soon(welcomes.next()).await, Some(Welcome { to: "ann".into() }));
    let mut others = ann.on::<Welcome>();
    server.dialogue.clients_of("ann")[0].send(Welcome { to: "all".into() }).await.unwrap();
    assert_eq!(soon(welcomes.next()).await.unwrap().to, "all");
    assert_eq!(soon(others.next()).await.unwrap().to, "all");
}

#[tokio::test]
async fn what_the_server_wants_acknowledged_is_acknowledged() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let mut welcomes = ann.on::<Welcome>();
    assert_eq!(soon(welcomes.next()).await.unwrap().to, "ann");
    let client = server.dialogue.clients_of("ann").remove(0);
    let asked = client
        .socket()
        .unwrap()
        .emit_with_ack::<_, serde_json::Value>("welcome", &Welcome { to: "who".into() });
    soon(asked.unwrap()).await.unwrap();
    assert_eq!(soon(welcomes.next()).await.unwrap().to, "who");
}

#[tokio::test]
async fn a_client_that_the_server_disconnects_stays_away() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let mut errors = ann.errors();
    server.dialogue.clients_of("ann")[0].disconnect();
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    assert!(matches!(&*errors.next().await.unwrap(), ClientError::Disconnected));
}

#[tokio::test]
async fn credentials_are_obtained_for_each_connection() {
    let server = Server::start().await;
    let connections = Arc::new(AtomicU64::new(0));
    let count = connections.clone();
    let ann = server.client("ann").auth(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Login { user: "ann".into(), lasts: None } }
    });
    let ann = ann.connect().await.unwrap();
    let first = ann.id();
    server.proxy.cut();
    reconnected(&ann).await;
    assert_eq!(connections.load(Ordering::Relaxed), 2);
    assert_ne!(first, ann.id());
}

/// Waits until the client has another connection.
async fn reconnected_as_another(client: &Client, before: &str) {
    let other = async {
        while client.state() != State::Connected || *client.id() == *before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(other).await;
}

/// Waits until a lost connection was noticed, and is back.
async fn reconnected(client: &Client) {
    let mut states = client.states();
    soon(states.wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    soon(states.wait_for(|state| *state == State::Connected)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_banned_meanwhile_gives_up_and_says_why() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let mut errors = ann.errors();
    server.town.banned.lock().unwrap().insert("ann".into());
    server.proxy.cut();
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    let error = errors.next().await.unwrap();
    let ClientError::Reconnect(error) = &*error else { panic!("{error}") };
    assert_eq!(error.refusal().unwrap().code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_client_tries_again_as_often_as_it_was_told() {
    let server = Server::start().await;
    let ann = server.client("ann").reconnect(swiftly().attempts(3)).connect().await.unwrap();
    let mut errors = ann.errors();
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    let mut failed = 0;
    while let Some(error) = errors.next().await {
        assert!(matches!(&*error, ClientError::Reconnect(_)), "{error}");
        failed += 1;
    }
    assert_eq!(failed, 3);
    server.proxy.open();
    let bob = server.client("bob").reconnect(Reconnect::never()).connect().await.unwrap();
    server.proxy.cut();
    soon(bob.states().wait_for(|state| *state == State::Closed)).await.unwrap();
}

#[tokio::test]
async fn expired_credentials_are_replaced_by_coming_back() {
    let server = Server::start().await;
    let obtained = AtomicU64::new(0);
    // There are some for each connection, and none in between.
    let ann = server.client("ann").try_auth(move || {
        let first = obtained.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let login = Login { user: "ann".into(), lasts: Some(300) };
        async move { if first { Ok(login) } else { Err("no token") } }
    });
    let ann = ann.connect().await.unwrap();
    let mut errors = ann.errors();
    let error = soon(errors.next()).await.unwrap();
    assert!(matches!(&*error, ClientError::Refresh(RequestError::Credentials(_))), "{error}");
    let error = soon(errors.next()).await.unwrap();
    let ClientError::Refused(refusal) = &*error else { panic!("{error}") };
    assert_eq!(refusal.code, ErrorCode::TokenExpired);
    reconnected(&ann).await;
}

#[tokio::test]
async fn credentials_are_refreshed_before_they_expire() {
    let mut server = Server::start().await;
    let ann =
        server.client("ann").auth(|| async { Login { user: "ann".into(), lasts: Some(2_000) } });
    let ann = ann.connect().await.unwrap();
    let mut errors = ann.errors();
    let connection = ann.id();
    for _ in 0..4 {
        server.noted(&Noted::Authenticated("ann".into())).await;
    }
    // It outlived its first credentials, on one connection.
    assert_eq!(ann.id(), connection);
    assert!(ann.authenticate().await.unwrap().is_some());
    ann.close().await;
    assert!(errors.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_was_built_for_another_contract_knows() {
    let server = Server::start().await;
    let ann = server.client("ann").contract("another").connect().await.unwrap();
    let contract = ann.contract().unwrap();
    let bob = server.client("bob").contract(&*contract).connect().await.unwrap();
    assert_eq!(bob.contract(), None);
}

#[tokio::test]
async fn a_stalled_connection_is_noticed_and_left() {
    let server = Server::start().await;
    // The server says how long its silence may last; this one promises to be quick.
    server.proxy.replace("\"pingInterval\":25000", "\"pingInterval\":  400");
    server.proxy.replace("\"pingTimeout\":20000", "\"pingTimeout\":  100");
    let ann = server.connect("ann").await;
    server.proxy.stall(true);
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    server.proxy.stall(false);
    soon(ann.states().wait_for(|state| *state == State::Connected)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_something_is_come_back_to() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let knocking = ann.clone();
    tokio::spawn(async move { knocking.join(house::Room { number: 14 }).await });
    server.noted(&Noted::Knocked).await;
    assert!(!server.dialogue.stop(Duration::from_secs(1)).await);
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    server.restart().await;
    soon(ann.states().wait_for(|state| *state == State::Connected)).await.unwrap();
}

#[tokio::test]
async fn a_draining_server_is_left_for_as_long_as_it_says() {
    let mut server = Server::start().await;
    let instantly = Reconnect::default().delay(Duration::from_millis(1), Duration::from_millis(1));
    let connect = |user| server.client(user).reconnect(instantly).connect();
    let (ann, bob) = (connect("ann").await.unwrap(), connect("bob").await.unwrap());
    assert!(server.dialogue.stop(Duration::from_secs(5)).await);
    for client in [&ann, &bob] {
        soon(client.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    }
    server.restart().await;
    // One may come back at once, the other in some seconds, as nobody else is there.
    let (mut anns, mut bobs) = (ann.states(), bob.states());
    let (first, second) = tokio::select! {
        back = soon(anns.wait_for(|state| *state == State::Connected)) => { back.unwrap(); (&ann, &bob) }
        back = soon(bobs.wait_for(|state| *state == State::Connected)) => { back.unwrap(); (&bob, &ann) }
    };
    for _ in 0..50 {
        first.rooms().await.unwrap();
    }
    assert_eq!(second.state(), State::Reconnecting);
    soon(second.states().wait_for(|state| *state == State::Connected)).await.unwrap();
}

#[tokio::test]
async fn refresh_when_the_clocks_differ_by_years_comes_in_time() {
    // By this clock, the credentials have expired long ago, or do so far in the future.
    for by in ["\"expiresAt\": ", "\"expiresAt\":9"] {
        let mut server = Server::start().await;
        server.proxy.replace("\"expiresAt\":1", by);
        let obtained = Arc::new(AtomicU64::new(0));
        let count = obtained.clone();
        let ann = server.client("ann").auth(move || {
            let lasts = if count.fetch_add(1, Ordering::Relaxed) == 0 { 1_000 } else { 60_000 };
            async move { Login { user: "ann".into(), lasts: Some(lasts) } }
        });
        let ann = ann.connect().await.unwrap();
        let connection = ann.id();
        for _ in 0..2 {
            server.noted(&Noted::Authenticated("ann".into())).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        ann.rooms().await.unwrap();
        assert_eq!((ann.id(), obtained.load(Ordering::Relaxed)), (connection, 2));
    }
}

#[tokio::test]
async fn credentials_that_last_as_short_as_the_ones_before_are_not_asked_for_in_a_loop() {
    let server = Server::start().await;
    let obtained = Arc::new(AtomicU64::new(0));
    let count = obtained.clone();
    let ann = server.client("ann").reconnect(Reconnect::never()).auth(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Login { user: "ann".into(), lasts: Some(800) } }
    });
    let ann = ann.connect().await.unwrap();
    // The second ones expire within the second that the client waits.
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    assert_eq!(obtained.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn credentials_whose_answer_the_app_does_not_take_are_refreshed_in_time() {
    let mut server = Server::start().await;
    let obtained = Arc::new(AtomicU64::new(0));
    let count = obtained.clone();
    let ann = server.client("ann").auth(move || {
        let lasts = (count.fetch_add(1, Ordering::Relaxed) == 1).then_some(2_500);
        async move { Login { user: "ann".into(), lasts } }
    });
    let ann = ann.connect().await.unwrap();
    let connection = ann.id();
    let mut authenticated = Box::pin(ann.authenticate());
    assert!(authenticated.as_mut().now_or_never().is_none());
    for _ in 0..3 {
        server.noted(&Noted::Authenticated("ann".into())).await;
    }
    // On the connection that there is.
    assert_eq!((ann.state(), ann.id()), (State::Connected, connection));
    assert_eq!(obtained.load(Ordering::Relaxed), 3);
    assert!(authenticated.await.unwrap().is_some());
}

#[tokio::test]
async fn client_that_believes_its_expired_credentials_valid_comes_back() {
    let mut server = Server::start().await;
    // The client does not hear that they have expired.
    server.proxy.replace("TOKEN_EXPIRED", "TOKEN_INVALID");
    let obtained = Arc::new(AtomicU64::new(0));
    let ann = server.client("ann").try_auth(move || {
        let obtained = obtained.fetch_add(1, Ordering::Relaxed);
        let lasts = (obtained == 0).then_some(2_000);
        async move {
            if obtained == 1 {
                Err("no credentials")
            } else {
                Ok(Login { user: "ann".into(), lasts })
            }
        }
    });
    server.proxy.delay(Duration::from_millis(300));
    let ann = ann.connect().await.unwrap();
    server.proxy.delay(Duration::ZERO);
    let connection = ann.id();
    for _ in 0..2 {
        server.noted(&Noted::Authenticated("ann".into())).await;
    }
    reconnected_as_another(&ann, &connection).await;
}

#[tokio::test]
async fn settings_beyond_all_bounds_do() {
    let server = Server::start().await;
    let most = Duration::MAX;
    let builder = server.client("ann").connect_timeout(most).request_timeout(most);
    let builder = builder.reconnect(Reconnect::default().delay(most, most));
    let ann = builder.buffer(usize::MAX).requests(usize::MAX).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    square.trigger(Tick { by: "ann".into(), n: 1 }).timeout(most).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    server.proxy.cut();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    assert!(ann.rooms().now_or_never().is_none());
    ann.close().await;
}

#[tokio::test]
async fn a_server_that_asks_and_reads_nothing_is_left() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", tcp.local_addr().unwrap());
    let asking = tokio::spawn(async move {
        let (stream, _) = tcp.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let open = r#"0{"pingInterval":25000,"pingTimeout":20000}"#;
        let connected = r#"42["dialogue:connected",{"clientId":"a","userId":"ann"}]"#;
        let mut next = socket.send(open.into()).await.and(socket.send(connected.into()).await);
        while next.is_ok() {
            next = socket.feed(r#"427["hello"]"#.into()).await;
        }
    });
    let ann = Client::builder(url).reconnect(Reconnect::never()).connect().await.unwrap();
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn credentials_over_the_servers_limit_are_not_sent() {
    let server = Server::start().await;
    let login =
        |length: usize| move || async move { Login { user: "x".repeat(length), lasts: None } };
    let error = server.client("").auth(login(70_000)).connect().await.unwrap_err();
    let ConnectError::TooLarge { size, limit } = error else { panic!("{error}") };
    assert!(size > 70_000 && limit == 65_500, "{size} {limit}");

    let mut limits = limits();
    limits.payload = 1_000;
    let server = Server::with(limits).await;
    let error = server.client("").auth(login(2_000)).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::TooLarge { limit: 1_000, .. }), "{error}");
}

#[tokio::test]
async fn new_credentials_that_no_connection_can_present_are_not_sent() {
    let server = Server::start().await;
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    // The first are short, and last a moment.
    let login = move || {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let user = if first { "ann".into() } else { "x".repeat(70_000) };
        async move { Login { user, lasts: Some(2_000) } }
    };
    let ann = server.client("").auth(login).connect().await.unwrap();
    let mut errors = ann.errors();
    let error = ann.authenticate().await.unwrap_err();
    let RequestError::TooLarge { size, limit } = error else { panic!("{error}") };
    assert!(size > 70_000 && limit == 65_500, "{size} {limit}");
    // So it is where the client renews them by itself.
    let error = soon(errors.next()).await.unwrap();
    let ClientError::Refresh(RequestError::TooLarge { .. }) = &*error else { panic!("{error}") };
    assert_eq!(ann.state(), State::Connected);
}
