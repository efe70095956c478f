//! Connections: who one is, how they end, how they come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dialogue_client::{
    Client, ClientError, ConnectError, ErrorCode, JoinError, Reconnect, RequestError, State,
};
use futures_util::{FutureExt, SinkExt};
use tokio::net::TcpListener;

use crate::{
    app::{Login, Noted, Tick, Welcome, house, square},
    server::{Server, soon, swiftly},
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
        server.client("ann").auth(|| async { Login { user: "ann".into(), lasts: Some(400) } });
    let ann = ann.connect().await.unwrap();
    let mut errors = ann.errors();
    let connection = ann.id();
    for _ in 0..6 {
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
async fn a_client_whose_clock_is_ahead_leaves_it_to_the_server_when_credentials_expire() {
    let mut server = Server::start().await;
    // By its own clock, they have expired years ago.
    server.proxy.replace("\"expiresAt\":1", "\"expiresAt\": ");
    let login = || async { Login { user: "ann".into(), lasts: Some(60_000) } };
    let ann = server.client("ann").auth(login).connect().await.unwrap();
    for _ in 0..20 {
        ann.rooms().await.unwrap();
    }
    server.noted(&Noted::Authenticated("ann".into())).await;
    assert!(server.notes.try_recv().is_err());
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
