//! Streams across lost connections: in order, nothing missing, nothing twice.

use std::time::Duration;

use dialogue::Rate;
use dialogue_client::{ClientError, ErrorCode, RoomState, State};
use futures_util::FutureExt;

use crate::{
    app::{Chime, Scarce, Tick, house, square},
    server::{Server, connect_past, limits, soon},
};

/// More than a room remembers by itself, whatever its store keeps.
const MORE: u64 = 300;

fn tick(n: u64) -> Tick {
    Tick { by: "town".into(), n }
}

fn chime(n: u64) -> Chime {
    Chime { by: "town".into(), n }
}

#[tokio::test]
async fn what_was_missed_comes_in_order_before_what_is_new() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut chimes) = (square.on::<Tick>(), square.on::<Chime>());
    let town = server.dialogue.room(square::Room);
    town.trigger(tick(1)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    for n in 2..=20 {
        town.trigger(tick(n)).await.unwrap();
        town.trigger(chime(n)).await.unwrap();
    }
    server.proxy.open();
    soon(square.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    town.trigger(tick(21)).await.unwrap();
    for n in 2..=21 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    for n in 2..=20 {
        assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn an_event_that_was_lost_on_the_way_is_fetched_before_the_next() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    let town = server.dialogue.room(square::Room);
    server.proxy.lose("\"roomId\":\"square\",\"data\":{\"by\":\"town\",\"n\":2}");
    for n in 1..=4 {
        town.trigger(tick(n)).await.unwrap();
    }
    for n in 1..=4 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn the_last_event_if_it_was_lost_is_fetched_when_the_server_says_where_the_log_ends() {
    let mut limits = limits();
    limits.quiet_time = Duration::from_millis(50);
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    server.proxy.lose("\"roomId\":\"square\",\"data\":{\"by\":\"town\",\"n\":1}");
    server.dialogue.room(square::Room).trigger(tick(1)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
}

#[tokio::test]
async fn what_was_lost_before_an_event_of_another_name_is_fetched_when_the_server_says_so() {
    let mut limits = limits();
    limits.quiet_time = Duration::from_millis(50);
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut chimes) = (square.on::<Tick>(), square.on::<Chime>());
    server.proxy.lose("\"roomId\":\"square\",\"data\":{\"by\":\"ann\",\"n\":1}");
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    server.dialogue.room(square::Room).trigger(chime(2)).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 2);
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
}

#[tokio::test]
async fn a_gap_whose_fetch_is_cut_off_comes_with_the_next_join() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut chimes) = (square.on::<Tick>(), square.on::<Chime>());
    let mut resets = square.resets();
    server.proxy.lose("\"roomId\":\"square\",\"data\":{\"by\":\"ann\",\"n\":1}");
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    let town = server.dialogue.room(square::Room);
    town.trigger(chime(2)).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 2);
    server.proxy.cut_instead_of("\"complete\"");
    town.trigger(tick(3)).await.unwrap();
    for n in [1, 3] {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    assert!(server.proxy.has_cut());
    town.trigger(chime(4)).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 4);
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_stream_of_what_was_not_subscribed_to_begins_with_what_comes_next() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut resets = square.resets();
    let town = server.dialogue.room(square::Room);
    for n in 1..=20 {
        town.trigger(chime(n)).await.unwrap();
    }
    let (mut chimes, mut ticks) = (square.on::<Chime>(), square.on::<Tick>());
    // The stream is opened before this is answered.
    square.trigger(tick(1)).await.unwrap();
    for n in 21..=22 {
        town.trigger(chime(n)).await.unwrap();
        assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
    }
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_stream_that_is_opened_without_a_connection_loses_nothing_of_the_others() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut resets) = (square.on::<Tick>(), square.resets());
    let town = server.dialogue.room(square::Room);
    town.trigger(chime(1)).await.unwrap();
    town.trigger(tick(2)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 2);
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let mut chimes = square.on::<Chime>();
    town.trigger(tick(3)).await.unwrap();
    town.trigger(chime(4)).await.unwrap();
    server.proxy.open();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 3);
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 4);
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_join_that_is_cut_off_is_asked_for_again() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    let town = server.dialogue.room(square::Room);
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    town.trigger(tick(1)).await.unwrap();
    server.proxy.cut_instead_of("\"recovered\":true");
    server.proxy.open();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert!(server.proxy.has_cut());
    town.trigger(tick(2)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 2);
}

#[tokio::test]
async fn a_server_that_comes_back_with_its_log_hands_over_what_was_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::on_file(&folder.path().join("town.db")).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut chimes) = (square.on::<Tick>(), square.on::<Chime>());
    let mut resets = square.resets();
    let first = square.trigger(tick(1)).await.unwrap().at.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert!(server.dialogue.stop(Duration::from_secs(10)).await);
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    server.proxy.close();
    server.restart().await;
    let town = server.dialogue.room(square::Room);
    for n in 2..=20 {
        town.trigger(tick(n)).await.unwrap();
        town.trigger(chime(n)).await.unwrap();
    }
    assert_eq!(ann.state(), State::Reconnecting);
    server.proxy.open();
    soon(square.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    let last = square.trigger(tick(21)).await.unwrap().at.unwrap();
    assert_eq!((last.epoch, last.seq), (first.epoch, 40));
    for n in 2..=21 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    for n in 2..=20 {
        assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
    }
    // It would have been told before what came after it.
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn another_log_is_told_as_a_reset_and_heard_from_its_start() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut resets) = (square.on::<Tick>(), square.resets());
    let before = square.trigger(tick(1)).await.unwrap().at.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    server.restart().await;
    let reset = soon(resets.next()).await.unwrap();
    assert_eq!((reset.at.seq, reset.event), (0, None));
    assert_ne!(reset.at.epoch, before.epoch);
    square.trigger(tick(2)).await.unwrap();
    let tick = soon(ticks.next()).await.unwrap();
    assert_eq!((tick.data.n, tick.position.unwrap().seq), (2, 1));
}

#[tokio::test]
async fn more_than_the_server_replays_is_read_from_the_history() {
    let mut limits = limits();
    limits.recovery_events = 3;
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut resets) = (square.on::<Tick>(), square.resets());
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let town = server.dialogue.room(square::Room);
    for n in 1..=MORE {
        town.trigger(tick(n)).await.unwrap();
    }
    server.proxy.open();
    soon(square.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    town.trigger(tick(MORE + 1)).await.unwrap();
    for n in 1..=MORE + 1 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn join_and_pages_that_take_longer_than_a_request_are_given_more_time() {
    // As much as the server replays at once, and more.
    for count in [200, 400] {
        let server = Server::start().await;
        let client = server.client("ann").request_timeout(Duration::from_millis(400));
        let ann = client.connect().await.unwrap();
        let square = ann.join(square::Room).await.unwrap();
        let (mut chimes, mut resets) = (square.on::<Chime>(), square.resets());
        // This is answered after the subscription.
        ann.rooms().await.unwrap();
        server.proxy.close();
        soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
        let town = server.dialogue.room(square::Room);
        let by = "x".repeat(800);
        for n in 1..=count {
            town.trigger(Chime { by: by.clone(), n }).await.unwrap();
        }
        // 200 kB take two seconds.
        server.proxy.pace(100_000);
        server.proxy.open();
        for n in 1..=count {
            assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
        }
        assert!(resets.next().now_or_never().is_none());
    }
}

#[tokio::test]
async fn what_is_kept_no_more_is_told_as_a_reset_before_what_is_kept() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut scarce) = (square.on::<Tick>(), square.on::<Scarce>());
    let mut resets = square.resets();
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let town = server.dialogue.room(square::Room);
    town.trigger(tick(1)).await.unwrap();
    for n in 1..=MORE {
        town.trigger(Scarce { n }).await.unwrap();
    }
    server.proxy.open();
    let reset = soon(resets.next()).await.unwrap();
    assert_eq!((reset.at.seq, reset.event.as_deref()), (1 + MORE - 3, Some("scarce")));
    town.trigger(Scarce { n: MORE + 1 }).await.unwrap();
    for n in MORE - 2..=MORE + 1 {
        assert_eq!(soon(scarce.next()).await.unwrap().data.n, n);
    }
    // All of these are kept.
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
}

#[tokio::test]
async fn more_events_than_are_fetched_in_a_row_are_told_as_a_reset() {
    let mut limits = limits();
    limits.recovery_events = 3;
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut resets) = (square.on::<Tick>(), square.resets());
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let town = server.dialogue.room(square::Room);
    for n in 1..=10_200 {
        town.trigger(tick(n)).await.unwrap();
    }
    server.proxy.open();
    let reset = soon(resets.next()).await.unwrap();
    assert_eq!((reset.at.seq, reset.event), (10_200, None));
    town.trigger(tick(10_201)).await.unwrap();
    let mut last = 0;
    while last < 10_201 {
        let n = soon(ticks.next()).await.unwrap().data.n;
        assert!(n > last);
        last = n;
    }
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn event_of_which_nothing_is_kept_is_told_as_a_reset() {
    let server = Server::in_bytes(50_000).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut chimes, mut scarce) = (square.on::<Chime>(), square.on::<Scarce>());
    let mut resets = square.resets();
    let town = server.dialogue.room(square::Room);
    town.trigger(Scarce { n: 1 }).await.unwrap();
    assert_eq!(soon(scarce.next()).await.unwrap().data.n, 1);
    // This is answered after the subscription to chimes.
    ann.rooms().await.unwrap();
    server.proxy.close();
    soon(square.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    town.trigger(chime(1)).await.unwrap();
    for n in 1..=MORE {
        town.trigger(tick(n)).await.unwrap();
    }
    server.proxy.open();
    let mut reset = Vec::new();
    for _ in 0..2 {
        let event = soon(resets.next()).await.unwrap().event;
        reset.push(event.unwrap().to_string());
    }
    // All scarce events were seen.
    assert_eq!(reset, ["tick", "chime"]);
    town.trigger(chime(2)).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 2);
    town.trigger(Scarce { n: 2 }).await.unwrap();
    assert_eq!(soon(scarce.next()).await.unwrap().data.n, 2);
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_room_that_is_full_is_asked_for_again_until_there_is_a_place() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let (bob, cid) = (connect_past(&server, "bob").await, connect_past(&server, "cid").await);
    let key = house::Room { number: 1 };
    let home = ann.join(key.clone()).await.unwrap();
    let _bobs = bob.join(key.clone()).await.unwrap();
    server.proxy.close();
    soon(home.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    let cids = loop {
        // Until the server has noticed that somebody is away.
        if let Ok(cids) = cid.join(key.clone()).await {
            break cids;
        }
    };
    server.proxy.open();
    soon(ann.states().wait_for(|state| *state == State::Connected)).await.unwrap();
    // This is answered after the join, which is refused.
    ann.rooms().await.unwrap();
    assert_eq!(home.state(), RoomState::Rejoining);
    cids.leave().await;
    soon(home.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
}

#[tokio::test]
async fn rooms_that_are_refused_for_a_moment_are_asked_for_again() {
    let mut limits = limits();
    limits.joins = Some(Rate::per_second(20).burst(1));
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let mut rooms = Vec::new();
    for number in 1..=3 {
        rooms.push(loop {
            match ann.join(house::Room { number }).await {
                Ok(room) => break room,
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::RateLimited)),
            }
        });
    }
    server.proxy.cut();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    for room in &rooms {
        soon(room.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_that_the_server_cannot_open_now_is_asked_for_again_and_told_of_once() {
    // What is refused, in other words.
    let denied = "\"code\":\"JOIN_DENIED\",\"message\":\"nobody lives here\"";
    let (store, draining, internal) = (
        "\"code\":\"STORE_UNAVAILABLE\",\"message\":\"no\"         ",
        "\"code\":\"DRAINING\",\"message\":\"no\"                  ",
        "\"code\":\"INTERNAL\",\"message\":\"no\"                  ",
    );
    let codes = [ErrorCode::StoreUnavailable, ErrorCode::Draining, ErrorCode::Internal];
    for (words, code) in [store, draining, internal].into_iter().zip(codes) {
        let server = Server::start().await;
        let ann = server.connect("ann").await;
        let house = ann.join(house::Room { number: 1 }).await.unwrap();
        let mut errors = ann.errors();
        let mut refused = server.proxy.count(denied);
        server.proxy.replace(denied, words);
        server.town.locked.lock().unwrap().insert(1);
        server.proxy.cut();
        soon(refused.wait_for(|refused| *refused == 2)).await.unwrap();
        assert_eq!(house.state(), RoomState::Rejoining);
        server.town.locked.lock().unwrap().clear();
        soon(house.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
        let mut told = Vec::new();
        while let Some(error) = errors.next().now_or_never().flatten() {
            if let ClientError::Room { refusal, .. } = &*error {
                told.push(refusal.code);
            }
        }
        assert_eq!(told, [code]);
    }
}

#[tokio::test]
async fn only_what_the_room_was_subscribed_to_is_recovered() {
    let server = Server::start().await;
    let (ann, bob) = (server.connect("ann").await, server.connect("bob").await);
    let anns = ann.join(square::Room).await.unwrap();
    let bobs = bob.join(square::Room).await.unwrap();
    let (mut ticks, mut chimes) = (bobs.on::<Tick>(), anns.on::<Chime>());
    // This is answered after the subscription.
    ann.rooms().await.unwrap();
    server.proxy.close();
    for room in [&anns, &bobs] {
        soon(room.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    }
    let town = server.dialogue.room(square::Room);
    town.trigger(Chime { by: "town".into(), n: 1 }).await.unwrap();
    town.trigger(tick(1)).await.unwrap();
    let recovered = server.proxy.count("\"event\":\"chime\"");
    server.proxy.open();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 1);
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    // It was for one of them.
    assert_eq!(*recovered.borrow(), 1);
}

#[tokio::test]
async fn a_room_that_refuses_its_member_later_is_left_and_says_so() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let house = ann.join(house::Room { number: 1 }).await.unwrap();
    let (mut ticks, mut errors) = (house.on::<Tick>(), ann.errors());
    server.town.locked.lock().unwrap().insert(1);
    server.proxy.close();
    soon(house.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    let mut waiting = house.trigger(tick(1)).into_future();
    assert!((&mut waiting).now_or_never().is_none());
    server.restart().await;
    server.proxy.open();
    assert_eq!(soon(waiting).await.unwrap_err().code(), Some(ErrorCode::JoinDenied));
    assert_eq!(soon(ticks.next()).await, None);
    assert_eq!(house.state(), RoomState::Left);
    let error = loop {
        let error = soon(errors.next()).await.unwrap();
        if !matches!(&*error, ClientError::Reconnect(_)) {
            break error;
        }
    };
    let ClientError::Room { room_id, refusal } = &*error else { panic!("{error}") };
    assert_eq!((&**room_id, refusal.code), ("house:1", ErrorCode::JoinDenied));
}
