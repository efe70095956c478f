//! Joining, leaving, and rooms in general.

use std::{sync::Arc, time::Duration};

use dialogue::{EventMessage, Limits, Position, Rate, RoomConfig};
use dialogue_client::{
    Client, ClientError, CreateRoom, ErrorCode, Feed, HistoryError, JoinError, Reconnect,
    RoomState, State,
};
use futures_util::{FutureExt, future};

use crate::{
    app::{Bell, Blink, Chime, Noted, Tick, building, house, square},
    server::{Server, connect_past, limits, soon, swiftly},
};

#[tokio::test]
async fn a_room_is_joined_by_its_key_and_heard_in_order() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    assert_eq!((square.id(), square.name()), ("square", "The square"));
    assert_eq!(square.state(), RoomState::Joined);
    let mut ticks = square.on::<Tick>();
    for n in 1..=3 {
        square.trigger(Tick { by: "ann".into(), n }).meta("try", n).await.unwrap();
    }
    for n in 1..=3 {
        let EventMessage { data, from, meta, position, room_id, .. } =
            soon(ticks.next()).await.unwrap();
        assert_eq!((data.n, &*from, &*room_id), (n, "ann", "square"));
        assert_eq!(meta.unwrap().get("try"), Some(n));
        let Position { seq, prev, .. } = position.unwrap();
        assert_eq!((seq, prev), (n, n - 1));
    }
}

#[tokio::test]
async fn rooms_of_a_family_are_apart() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let one = ann.join(house::Room { number: 1 }).await.unwrap();
    let two = ann.join(house::Room { number: 2 }).await.unwrap();
    assert_eq!((one.id(), two.key().number), ("house:1", 2));
    let (mut ones, mut twos) = (one.on::<Tick>(), two.on::<Tick>());
    two.trigger(Tick { by: "ann".into(), n: 2 }).await.unwrap();
    one.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ones.next()).await.unwrap().data.n, 1);
    assert_eq!(soon(twos.next()).await.unwrap().data.n, 2);
}

#[tokio::test]
async fn a_refused_join_says_why() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let error = ann.join(house::Room { number: 13 }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::JoinDenied));
    assert_eq!(error.to_string(), "nobody lives here");
    let (bob, cid) = (server.connect("bob").await, server.connect("cid").await);
    let house = house::Room { number: 1 };
    let _rooms = (ann.join(house.clone()).await.unwrap(), bob.join(house.clone()).await.unwrap());
    assert_eq!(cid.join(house).await.unwrap_err().code(), Some(ErrorCode::RoomFull));
}

#[tokio::test]
async fn a_second_join_is_another_handle_of_the_same_room() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let (first, second) = tokio::join!(ann.join(square::Room), ann.join(square::Room));
    let (first, second) = (first.unwrap(), second.unwrap());
    let mut ticks = second.on::<Tick>();
    drop(second);
    first.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    first.leave().await;
    assert_eq!(soon(ticks.next()).await, None);
    server.noted(&Noted::Left("ann".into(), "square".into())).await;
    assert_eq!(server.dialogue.stats().members, 0);
}

#[tokio::test]
async fn a_room_is_left_a_moment_after_its_last_handle_and_stream() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let ticks = square.on::<Tick>();
    drop(square);
    // Somebody comes back before it is left.
    drop(ticks);
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    drop((square, ticks));
    server.noted(&Noted::Left("ann".into(), "square".into())).await;
}

#[tokio::test]
async fn who_left_triggers_no_more() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let other = square.clone();
    square.leave().await;
    assert_eq!(other.state(), RoomState::Left);
    let error = other.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap_err();
    assert_eq!(error.to_string(), "the room was left; join it again");
    assert_eq!(other.on::<Tick>().next().await, None);
}

#[tokio::test]
async fn a_handle_of_a_room_that_was_left_does_not_leave_the_one_that_was_joined_anew() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let other = square.clone();
    square.leave().await;
    let anew = ann.join(square::Room).await.unwrap();
    other.leave().await;
    anew.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(anew.state(), RoomState::Joined);
}

#[tokio::test]
async fn leaving_is_tried_again_whatever_the_server_refuses_it_with() {
    let mut limits = limits();
    limits.requests = Some(Rate::per_second(10).burst(1));
    let mut server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    server.proxy.replace("\"code\":\"RATE_LIMITED\"", "\"code\":\"INTERNAL\"    ");
    ann.rooms().await.unwrap();
    square.leave().await;
    server.noted(&Noted::Left("ann".into(), "square".into())).await;
}

#[tokio::test]
async fn leaving_is_tried_until_the_server_agrees_and_joining_again_comes_after_it() {
    let mut limits = limits();
    limits.requests = Some(Rate::per_second(10).burst(1));
    let mut server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let refused = server.proxy.count("\"code\":\"RATE_LIMITED\"");
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    ann.rooms().await.unwrap();
    let ((), again) = tokio::join!(square.leave(), ann.join(square::Room));
    assert!(*refused.borrow() > 0);
    assert_eq!(soon(ticks.next()).await, None);
    let square = again.unwrap();
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    let (joined, left) = (Noted::Joined("ann".into(), "square".into()), "square".into());
    let left = Noted::Left("ann".into(), left);
    for noted in [&joined, &left, &joined] {
        server.noted(noted).await;
    }
}

#[tokio::test]
async fn leaving_ends_with_the_connection_and_joining_again_does_not() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    server.proxy.hush(true);
    let (mut leaving, mut again) = (Box::pin(square.leave()), ann.join(square::Room));
    assert!((&mut leaving).now_or_never().is_none() && (&mut again).now_or_never().is_none());
    server.noted(&Noted::Left("ann".into(), "square".into())).await;
    server.proxy.hush(false);
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    soon(leaving).await;
    server.proxy.open();
    assert_eq!(soon(again).await.unwrap().state(), RoomState::Joined);
}

#[tokio::test]
async fn who_gives_up_before_the_room_is_left_does_not_join_it() {
    let server = Server::start().await;
    let ann = server.client("ann").request_timeout(Duration::from_millis(200));
    let ann = ann.connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let joins = server.proxy.count("\"roomName\"");
    server.proxy.hush(true);
    let ((), again) = tokio::join!(square.leave(), ann.join(square::Room));
    assert!(matches!(again, Err(JoinError::Timeout)), "{again:?}");
    server.proxy.hush(false);
    // The first is answered after the leave, the second after a join that would come of that.
    for _ in 0..2 {
        ann.rooms().await.unwrap();
    }
    assert_eq!(*joins.borrow(), 0);
}

#[tokio::test]
async fn leaving_takes_no_longer_than_a_request() {
    let server = Server::start().await;
    let ann = server.client("ann").request_timeout(Duration::from_millis(50));
    let ann = ann.connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    server.proxy.stall(true);
    soon(square.leave()).await;
    assert_eq!(ann.state(), State::Connected);
}

#[tokio::test]
async fn a_join_that_was_given_up_is_not_carried_out_later() {
    let server = Server::start().await;
    let ann = server.client("ann").request_timeout(Duration::from_millis(500));
    let ann = ann.connect().await.unwrap();
    server.proxy.close();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let given_up = ann.join(house::Room { number: 1 }).await;
    assert!(matches!(given_up, Err(JoinError::Timeout)), "{given_up:?}");
    let joins = server.proxy.count("\"roomName\"");
    server.proxy.open();
    soon(ann.states().wait_for(|state| *state == State::Connected)).await.unwrap();
    drop(ann.join(square::Room).await.unwrap());
    assert_eq!(*joins.borrow(), 1);
}

#[tokio::test]
async fn a_room_that_was_deleted_before_it_is_joined_anew_does_not_undo_that() {
    let server = Server::start().await;
    let (mayor, ann) = (connect_past(&server, "mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("hall", "Town hall")).await.unwrap();
    server.proxy.hush(true);
    mayor.delete_room("hall").await.unwrap();
    mayor.create_room(CreateRoom::new("hall", "Town hall")).await.unwrap();
    let joined = {
        let ann = ann.clone();
        tokio::spawn(async move { ann.join_id::<building::Room>("hall").await })
    };
    let mut server = server;
    server.noted(&Noted::Joined("ann".into(), "hall".into())).await;
    server.proxy.hush(false);
    let hall = soon(joined).await.unwrap().unwrap();
    let mut ticks = hall.on::<Tick>();
    hall.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
}

#[tokio::test]
async fn a_join_whose_answer_cannot_be_read_says_so_and_is_undone() {
    let mut server = Server::start().await;
    let ann = server.connect("ann").await;
    server.proxy.replace("\"roomName\"", "\"roomNoun\"");
    let error = ann.join(square::Room).await.unwrap_err();
    assert!(matches!(error, JoinError::Unreadable(_)), "{error}");
    server.noted(&Noted::Left("ann".into(), "square".into())).await;
}

#[tokio::test]
async fn a_stream_that_the_room_refuses_costs_nothing_else() {
    let server = Server::start().await;
    let mayor = server.connect("mayor").await;
    mayor.create_room(CreateRoom::new("shed", "Empty shed")).await.unwrap();
    let shed = mayor.join_id::<building::Room>("shed").await.unwrap();
    let (mut errors, mut blinks) = (mayor.errors(), shed.on::<Blink>());
    // One is opened here, one while the connection is lost.
    let refused = server.proxy.count("EVENT_NOT_ALLOWED");
    let _ticks = (shed.on::<Tick>(), shed.on::<Tick>());
    mayor.rooms().await.unwrap();
    assert_eq!(*refused.borrow(), 1);
    server.proxy.close();
    soon(shed.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    let _chimes = shed.on::<Chime>();
    server.proxy.open();
    soon(shed.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    for n in 1..=2 {
        shed.trigger(Blink { n }).await.unwrap();
        assert_eq!(soon(blinks.next()).await.unwrap().data.n, n);
        server.proxy.cut();
        for state in [RoomState::Rejoining, RoomState::Joined] {
            soon(shed.states().wait_for(|it| *it == state)).await.unwrap();
        }
    }
    let mut events = Vec::new();
    while let Some(error) = errors.next().now_or_never().flatten() {
        match &*error {
            ClientError::Room { refusal, .. } => events.push(refusal.event.clone().unwrap()),
            other => assert!(matches!(other, ClientError::Reconnect(_)), "{other}"),
        }
    }
    assert_eq!(events, ["tick", "chime"]);
}

/// Replaces the server while a client does not get through, and has its mayor build a shed there.
async fn rebuild(server: &mut Server, away: &Client, name: &str) {
    rebuild_with(limits(), server, away, name).await;
}

async fn rebuild_with(limits: Limits, server: &mut Server, away: &Client, name: &str) {
    server.proxy.close();
    server.restart_with(limits).await;
    soon(away.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    let mayor = connect_past(server, "mayor").await;
    mayor.create_room(CreateRoom::new("shed", name)).await.unwrap();
    server.proxy.open();
    soon(away.states().wait_for(|state| *state == State::Connected)).await.unwrap();
}

#[tokio::test]
async fn a_room_that_has_an_event_no_more_is_joined_again_without_it() {
    let mut server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Shed")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let (_ticks, mut blinks, mut errors) = (shed.on::<Tick>(), shed.on::<Blink>(), ann.errors());
    shed.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    rebuild(&mut server, &ann, "Empty shed").await;
    shed.trigger(Blink { n: 1 }).await.unwrap();
    assert_eq!(soon(blinks.next()).await.unwrap().data.n, 1);
    loop {
        if let ClientError::Room { refusal, .. } = &*soon(errors.next()).await.unwrap() {
            assert_eq!(
                (refusal.code, refusal.event.as_deref()),
                (ErrorCode::EventNotAllowed, Some("tick"))
            );
            break;
        }
    }
}

/// What the errors say of rooms that do not have an event.
fn unknown(errors: &mut Feed<Arc<ClientError>>) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(error) = errors.next().now_or_never().flatten() {
        if let ClientError::Room { refusal, .. } = &*error {
            assert_eq!(refusal.code, ErrorCode::EventNotAllowed);
            events.push(refusal.event.clone().unwrap());
        }
    }
    events
}

#[tokio::test]
async fn stream_of_an_event_that_the_next_version_adds_hears_it_after_the_rejoin() {
    let mut server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Empty shed")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let (mut ticks, mut errors) = (shed.on::<Tick>(), ann.errors());
    ann.rooms().await.unwrap();
    assert_eq!(unknown(&mut errors), ["tick"]);
    rebuild(&mut server, &ann, "Shed").await;
    shed.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert!(unknown(&mut errors).is_empty());
}

#[tokio::test]
async fn stream_of_an_event_that_one_version_lacks_hears_it_with_the_next() {
    let mut server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Shed")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let (mut chimes, mut errors) = (shed.on::<Chime>(), ann.errors());
    rebuild(&mut server, &ann, "Empty shed").await;
    shed.trigger(Blink { n: 1 }).await.unwrap();
    assert_eq!(unknown(&mut errors), ["chime"]);
    rebuild(&mut server, &ann, "Shed").await;
    shed.trigger(Chime { by: "ann".into(), n: 2 }).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 2);
    assert!(unknown(&mut errors).is_empty());
}

#[tokio::test]
async fn rejoin_of_a_room_without_other_streams_gets_the_defaults_of_the_next_version() {
    let mut server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Empty shed")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let mut errors = ann.errors();
    let named = server.proxy.count("unknownEvents");
    for (name, defaults) in [("Shed", "tick"), ("Empty shed", "blink")] {
        rebuild(&mut server, &ann, name).await;
        soon(shed.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
        let client = &server.dialogue.clients_of("ann")[0];
        assert_eq!(client.subscriptions_id("shed"), [defaults]);
    }
    assert!(unknown(&mut errors).is_empty());
    assert_eq!(*named.borrow(), 0);
}

#[tokio::test]
async fn rejoin_with_the_most_names_gets_the_defaults_of_the_next_version_besides() {
    let mut limits = limits();
    limits.subscriptions_per_room = 2;
    let mut server = Server::with(limits.clone()).await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Yard")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let (mut ticks, mut errors) = (shed.on::<Tick>(), ann.errors());
    ann.rooms().await.unwrap();
    rebuild_with(limits, &mut server, &ann, "Yard with a bell").await;
    soon(shed.states().wait_for(|state| *state == RoomState::Joined)).await.unwrap();
    let client = &server.dialogue.clients_of("ann")[0];
    assert_eq!(client.subscriptions_id("shed"), ["blink", "bell", "tick"]);
    shed.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert!(unknown(&mut errors).is_empty());
}

#[tokio::test]
async fn where_nothing_is_stored_nothing_is_missed() {
    let mut server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    mayor.create_room(CreateRoom::new("shed", "Empty shed")).await.unwrap();
    let shed = ann.join_id::<building::Room>("shed").await.unwrap();
    let (mut blinks, mut resets) = (shed.on::<Blink>(), shed.resets());
    rebuild(&mut server, &ann, "Empty shed").await;
    shed.trigger(Blink { n: 1 }).await.unwrap();
    assert_eq!(soon(blinks.next()).await.unwrap().data.n, 1);
    assert!(resets.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_room_that_the_server_takes_away_is_left() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let house = ann.join(house::Room { number: 1 }).await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut blinks) = (house.on::<Tick>(), square.on::<Blink>());
    server.dialogue.room(house::Room { number: 1 }).delete().await.unwrap();
    assert_eq!(soon(ticks.next()).await, None);
    assert_eq!(house.state(), RoomState::Left);
    assert!(server.dialogue.clients_of("ann")[0].leave(square::Room).await);
    assert_eq!(soon(blinks.next()).await, None);
    assert_eq!(square.state(), RoomState::Left);
    // And stays so.
    server.proxy.cut();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    ann.rooms().await.unwrap();
    assert_eq!((square.state(), server.dialogue.stats().members), (RoomState::Left, 0));
}

#[tokio::test]
async fn what_joiners_do_not_receive_by_themselves_is_subscribed_to() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let (mut chimes, mut bells) = (square.on::<Chime>(), square.on::<Bell>());
    // Requests are handled in order: this one comes after the subscription.
    square.trigger(Chime { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 1);
    server.dialogue.room(square::Room).trigger(Bell).await.unwrap();
    assert_eq!(soon(bells.next()).await.unwrap().data, Bell);
    // And again, on another connection.
    server.proxy.cut();
    square.trigger(Chime { by: "ann".into(), n: 2 }).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 2);
}

#[tokio::test]
async fn history_is_read_page_by_page_newest_first() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    for n in 1..=7 {
        square.trigger(Tick { by: "ann".into(), n }).await.unwrap();
        square.trigger(Chime { by: "ann".into(), n }).await.unwrap();
    }
    let mut page = square.history::<Tick>().limit(3).await.unwrap();
    let mut pages = vec![page.events];
    while let Some(older) = page.older {
        page = square.history::<Tick>().limit(3).before(older).await.unwrap();
        pages.push(page.events);
    }
    let pages: Vec<Vec<u64>> =
        pages.iter().map(|page| page.iter().map(|tick| tick.data.n).collect()).collect();
    assert_eq!(pages, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
}

/// A server with 20 MB of chimes in the square, all of which one page may have.
async fn server_of_long_pages() -> Server {
    let mut limits = limits();
    (limits.page_bytes, limits.address_bytes) = (40_000_000, 400_000_000);
    let server = Server::with(limits).await;
    let town = server.dialogue.room(square::Room);
    for n in 1..=20 {
        town.trigger(Chime { by: "x".repeat(1_000_000), n }).await.unwrap();
    }
    server
}

#[tokio::test]
async fn answer_of_more_than_16_mib_is_read() {
    let server = server_of_long_pages().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut errors = ann.errors();
    let page = soon(square.history::<Chime>().limit(20).into_future()).await.unwrap();
    assert_eq!(page.events.iter().map(|chime| chime.data.by.len()).sum::<usize>(), 20_000_000);
    assert!(errors.next().now_or_never().is_none());
}

#[tokio::test]
async fn answer_that_is_longer_than_the_client_takes_fails_with_the_bound() {
    let server = server_of_long_pages().await;
    let ann = server.client("ann").max_message_bytes(3_000_000).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut errors = ann.errors();
    let history = square.history::<Chime>().limit(20).into_future();
    let HistoryError::Unreadable(why) = soon(history).await.unwrap_err() else {
        panic!("it has more than 20 MB")
    };
    assert!(why.contains("up to 3000000") && why.contains("max_message_bytes"), "{why}");
    let error = soon(errors.next()).await.unwrap();
    let ClientError::TooLong { size, limit: 3_000_000 } = *error else { panic!("{error}") };
    assert!(size > 20_000_000);
    let page = square.history::<Chime>().limit(2).await.unwrap();
    assert_eq!(page.events.len(), 2);
}

#[tokio::test]
async fn answer_that_is_too_long_fails_no_request_of_another_room() {
    let server = server_of_long_pages().await;
    // A connection that a request has lost is no failed attempt.
    let reconnect = swiftly().attempts(1);
    let builder = server.client("ann").reconnect(reconnect).max_message_bytes(3_000_000);
    let ann = builder.connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut houses = Vec::new();
    for number in 0..9 {
        houses.push(ann.join(house::Room { number }).await.unwrap());
    }
    let long = square.history::<Chime>().limit(20).into_future();
    let short = houses.iter().map(|house| house.history::<Chime>().into_future());
    let listed = ann.rooms();
    let all = future::join3(long, future::join_all(short), listed);
    let (long, short, listed) = soon(all).await;
    assert!(matches!(long, Err(HistoryError::Unreadable(_))), "{long:?}");
    for page in short {
        assert_eq!(page.unwrap().events, []);
    }
    assert_eq!(listed.unwrap().len(), 1);
}

#[tokio::test]
async fn joins_whose_answers_are_too_long_count_as_failed_attempts() {
    let mut limits = limits();
    (limits.recovery_bytes, limits.address_bytes) = (40_000_000, 400_000_000);
    let server = Server::with(limits).await;
    let instantly = Duration::from_millis(1);
    let reconnect = Reconnect::default().delay(instantly, instantly).attempts(3);
    let builder = server.client("ann").reconnect(reconnect).max_message_bytes(0);
    let ann = builder.connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let (mut errors, mut chimes) = (ann.errors(), square.on::<Chime>());
    let town = server.dialogue.room(square::Room);
    let chime = |n| Chime { by: "x".repeat(1_000_000), n };
    square.trigger(Blink { n: 1 }).await.unwrap();
    town.trigger(chime(1)).await.unwrap();
    assert_eq!(soon(chimes.next()).await.unwrap().data.n, 1);
    server.proxy.stall(true);
    for n in 2..=3 {
        town.trigger(chime(n)).await.unwrap();
    }
    server.proxy.cut();
    server.proxy.stall(false);
    soon(ann.states().wait_for(|state| *state == State::Closed)).await.unwrap();
    let mut too_long = 0;
    while let Some(error) = errors.next().await {
        too_long += usize::from(matches!(&*error, ClientError::TooLong { limit: 1_048_576, .. }));
    }
    assert_eq!(too_long, 4);
}

#[tokio::test]
async fn thousands_of_rooms_with_long_descriptions_are_listed_page_by_page() {
    let server = Server::start().await;
    for n in 0..3_000 {
        let config = RoomConfig::new("Shed").description("d".repeat(2_000));
        server.dialogue.create_room(&format!("shed {n}"), config).await.unwrap();
    }
    let ann = server.connect("ann").await;
    let pages = server.proxy.count("\"next\":");
    let rooms = soon(ann.rooms()).await.unwrap();
    assert_eq!(rooms.iter().filter(|room| room.id.starts_with("shed ")).count(), 3_000);
    // A page has up to 256,000 bytes.
    assert!(*pages.borrow() > 20);
}

#[tokio::test]
async fn a_created_room_is_joined_by_its_id_and_typed_by_a_module() {
    let server = Server::start().await;
    let (mayor, ann) = (server.connect("mayor").await, server.connect("ann").await);
    let created = mayor.create_room(CreateRoom::new("town hall", "Town hall")).await.unwrap();
    let hall = ann.join_id::<building::Room>(&created.id).await.unwrap();
    assert_eq!((hall.id(), hall.name()), ("town hall", "Town hall"));
    let (mut ticks, mut bells) = (hall.on::<Tick>(), hall.on::<Bell>());
    let mayors = mayor.join_id::<building::Room>("town hall").await.unwrap();
    let receipt = mayors.trigger(Tick { by: "mayor".into(), n: 1 }).await.unwrap();
    let tick = soon(ticks.next()).await.unwrap();
    assert_eq!((tick.data.n, &*tick.room_id), (1, "town hall"));
    assert_eq!(tick.position.unwrap().seq, receipt.at.unwrap().seq);
    assert_eq!(hall.history::<Tick>().await.unwrap().events, [tick]);
    // What joiners do not receive by themselves is subscribed to, before this is answered.
    hall.trigger(Blink { n: 1 }).await.unwrap();
    server.dialogue.find("town hall").unwrap().trigger(Bell).await.unwrap();
    assert_eq!(soon(bells.next()).await.unwrap().data, Bell);
    // It is joined again like any other.
    server.proxy.cut();
    mayors.trigger(Tick { by: "mayor".into(), n: 2 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 2);
}

#[tokio::test]
async fn an_id_that_no_room_has_is_refused() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let error = ann.join_id::<building::Room>("nowhere").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::RoomNotFound));
}

#[tokio::test]
async fn a_room_that_is_deleted_is_left_however_it_was_joined() {
    let server = Server::start().await;
    let mayor = server.connect("mayor").await;
    mayor.create_room(CreateRoom::new("hall", "Town hall")).await.unwrap();
    let hall = mayor.join_id::<building::Room>("hall").await.unwrap();
    let mut ticks = hall.on::<Tick>();
    mayor.delete_room("hall").await.unwrap();
    assert_eq!(soon(ticks.next()).await, None);
    assert_eq!(hall.state(), RoomState::Left);
    let error = mayor.join_id::<building::Room>("hall").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::RoomNotFound));
}

#[tokio::test]
async fn what_a_created_room_does_not_list_is_refused_at_run_time() {
    let server = Server::start().await;
    let mayor = server.connect("mayor").await;
    let mut errors = mayor.errors();
    mayor.create_room(CreateRoom::new("shed", "Empty shed")).await.unwrap();
    let shed = mayor.join_id::<building::Room>("shed").await.unwrap();
    let error = shed.trigger(Tick { by: "mayor".into(), n: 1 }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::EventNotAllowed));
    let _ticks = shed.on::<Tick>();
    let error = soon(errors.next()).await.unwrap();
    let ClientError::Room { room_id, refusal } = &*error else { panic!("{error}") };
    assert_eq!((&**room_id, refusal.code), ("shed", ErrorCode::EventNotAllowed));
    shed.trigger(Blink { n: 1 }).await.unwrap();
}

#[tokio::test]
async fn a_room_of_a_family_is_found_by_its_id_too() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let by_key = ann.join(house::Room { number: 7 }).await.unwrap();
    let by_id = ann.join_id::<house::Room>("house:7").await.unwrap();
    let mut ticks = by_id.on::<Tick>();
    by_key.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert_eq!(server.dialogue.stats().members, 1);
}

#[tokio::test]
async fn rooms_are_listed_created_and_deleted() {
    let server = Server::with(limits()).await;
    let mayor = server.connect("mayor").await;
    assert_eq!(mayor.rooms().await.unwrap()[0].id, "square");
    let room = mayor.create_room(CreateRoom::new("hall", "Town hall")).await.unwrap();
    assert_eq!((&*room.id, room.created_by_id.as_deref()), ("hall", Some("mayor")));
    assert_eq!(mayor.rooms().await.unwrap().len(), 2);
    mayor.delete_room("hall").await.unwrap();
    let error = mayor.delete_room("hall").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::RoomNotFound));
    let ann = server.connect("ann").await;
    let error = ann.create_room(CreateRoom::new("shed", "A shed")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::PermissionDenied));
}

#[tokio::test]
async fn trigger_with_65_entries_of_meta_fails_and_sends_nothing() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut trigger = square.trigger(Tick { by: "ann".into(), n: 1 });
    for n in 0..65 {
        trigger = trigger.meta(format!("key {n}"), n);
    }
    let error = trigger.await.unwrap_err();
    assert!(error.to_string().contains("64 keys"), "{error}");
    let receipt = square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(receipt.at.unwrap().seq, 1);
}
