//! Triggers: acknowledged, repeated, refused.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use dialogue::Rate;
use dialogue_client::{ErrorCode, RoomState, TriggerError};
use futures_util::FutureExt;

use crate::{
    app::{Blink, Chime, Login, Noted, Tick, house, square},
    server::{Server, connect_past, limits, soon},
    shaky::Shaky,
};

fn tick(n: u64) -> Tick {
    Tick { by: "ann".into(), n }
}

#[tokio::test]
async fn a_receipt_has_the_place_of_what_is_stored() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let receipt = square.trigger(tick(1)).await.unwrap();
    assert_eq!(receipt.at.unwrap().seq, 1);
    assert_eq!(square.trigger(Blink { n: 1 }).await.unwrap().at, None);
}

#[tokio::test]
async fn the_same_key_is_answered_as_the_first_time() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let first = square.trigger(tick(1)).key("once").await.unwrap();
    let again = square.trigger(tick(1)).key("once").await.unwrap();
    assert_eq!((first.at, first.duplicate, again.duplicate), (again.at, false, true));
    let error = square.trigger(tick(2)).key("once").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::KeyConflict));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_issues() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let long = Tick { by: "x".repeat(21), n: 1 };
    let TriggerError::Invalid(issues) = square.trigger(long).await.unwrap_err() else {
        panic!("found before it is sent")
    };
    assert_eq!((&*issues[0].path, &*issues[0].code), ("by", "length"));
    let error = square.trigger(Tick { by: "mallory".into(), n: 1 }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::EventDenied));
    assert_eq!(error.to_string(), "not from you");
}

#[tokio::test]
async fn triggers_wait_in_order_while_the_connection_is_lost() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    server.proxy.close();
    soon(square.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    let mut waiting = futures_util::future::join_all((1..=50).map(|n| {
        let trigger = square.trigger(tick(n));
        async move { trigger.await.unwrap().at.unwrap().seq }
    }));
    // They are on their way.
    assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
    server.proxy.open();
    assert_eq!(soon(waiting).await, (1..=50).collect::<Vec<u64>>());
    for n in 1..=50 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn a_trigger_whose_answer_was_lost_is_stored_once() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    // The subscriber's own copy and the answer are both not heard.
    server.proxy.cut_instead_of("\"seq\":1");
    let receipt = soon(square.trigger(tick(1)).into_future()).await.unwrap();
    assert!(server.proxy.has_cut());
    assert_eq!((receipt.at.unwrap().seq, receipt.duplicate), (1, true));
    square.trigger(tick(2)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 2);
    assert_eq!(square.history::<Tick>().await.unwrap().events.len(), 2);
}

#[tokio::test]
async fn long_trigger_within_the_servers_limit_is_answered_after_three_lost_connections() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let long = Chime { by: "x".repeat(100_000), n: 1 };
    let mut trigger = square.trigger(long).into_future();
    // The answer, and what it is when it is sent again.
    for words in ["\"seq\":1}", "\"duplicate\":true", "\"duplicate\":true"] {
        server.proxy.cut_instead_of(words);
        while !server.proxy.has_cut() {
            let tick = tokio::time::sleep(Duration::from_millis(1));
            let over = soon(async {
                tokio::select! { biased; it = &mut trigger => Some(it), () = tick => None }
            });
            assert!(over.await.is_none(), "it is answered after the last cut");
        }
    }
    assert_eq!(soon(trigger).await.unwrap().at.unwrap().seq, 1);
    assert_eq!(square.history::<Chime>().await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_trigger_whose_answer_was_lost_is_not_sent_again_as_another_user() {
    let server = Server::start().await;
    let user = Arc::new(Mutex::new("ann"));
    let login = user.clone();
    let client = server.client("").auth(move || {
        let user = (*login.lock().unwrap()).to_owned();
        async move { Login { user, lasts: None } }
    });
    let client = client.connect().await.unwrap();
    let square = client.join(square::Room).await.unwrap();
    *user.lock().unwrap() = "bob";
    server.proxy.cut_instead_of("\"seq\":1");
    let error = soon(square.trigger(tick(1)).into_future()).await.unwrap_err();
    assert!(matches!(error, TriggerError::Disconnected), "{error}");
    assert_eq!(&*client.user_id(), "bob");
    assert_eq!(square.history::<Tick>().await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn an_event_without_history_is_sent_at_most_once() {
    let server = Server::start().await;
    let (ann, bob) = (server.connect("ann").await, server.connect("bob").await);
    let square = ann.join(square::Room).await.unwrap();
    server.proxy.cut_instead_of("{\"ok\":true}");
    let error = soon(square.trigger(Blink { n: 1 }).into_future()).await.unwrap_err();
    assert!(matches!(error, TriggerError::Disconnected), "{error}");
    let heard = bob.join(square::Room).await.unwrap();
    let mut blinks = heard.on::<Blink>();
    square.trigger(Blink { n: 2 }).await.unwrap();
    assert_eq!(soon(blinks.next()).await.unwrap().data.n, 2);
}

#[tokio::test]
async fn what_is_triggered_too_often_is_stored_a_little_later() {
    let mut limits = limits();
    limits.triggers = Some(Rate::per_second(20).burst(2));
    let server = Server::with(limits).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let all = (1..=8).map(|n| square.trigger(tick(n)).into_future());
    let receipts = soon(futures_util::future::join_all(all)).await;
    let mut places: Vec<u64> =
        receipts.into_iter().map(|receipt| receipt.unwrap().at.unwrap().seq).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=8).collect::<Vec<_>>());
    // Nobody waits for what may be lost.
    let all = (1..=8).map(|n| square.trigger(Blink { n }).into_future());
    let refused: Vec<_> = soon(futures_util::future::join_all(all)).await;
    let refused = refused.iter().find_map(|blink| blink.as_ref().err()).unwrap();
    assert_eq!(refused.code(), Some(ErrorCode::RateLimited));
    assert!(refused.refusal().unwrap().retry_after.is_some());
}

#[tokio::test]
async fn a_trigger_gives_up_in_time_and_is_not_sent_later() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    server.proxy.close();
    soon(square.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    let late = square.trigger(tick(1)).timeout(Duration::from_millis(20)).await;
    assert!(matches!(late, Err(TriggerError::Timeout)), "{late:?}");
    server.proxy.open();
    assert_eq!(soon(square.trigger(tick(2)).into_future()).await.unwrap().at.unwrap().seq, 1);
}

#[tokio::test]
async fn only_so_many_are_under_way_and_the_rest_waits_for_its_turn() {
    let mut server = Server::start().await;
    let ann = server.client("ann").requests(2).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let bob = connect_past(&server, "bob").await;
    let mut ticks = bob.join(square::Room).await.unwrap().on::<Tick>();
    server.proxy.hush(true);
    let mut all: Vec<_> = (1..=4).map(|n| square.trigger(tick(n)).into_future()).collect();
    assert!(all.iter_mut().all(|trigger| trigger.now_or_never().is_none()));
    for n in 1..=2 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    // Whoever gives up what was sent makes no room for another one.
    drop(all.remove(0));
    assert!(all.iter_mut().all(|trigger| trigger.now_or_never().is_none()));
    // What is sent after that, by its order, is there before any other.
    let joining = ann.clone();
    let joining = tokio::spawn(async move { joining.join(house::Room { number: 1 }).await });
    server.noted(&Noted::Joined("ann".into(), "house:1".into())).await;
    bob.rooms().await.unwrap();
    assert!(ticks.next().now_or_never().is_none());
    server.proxy.hush(false);
    let receipts = soon(futures_util::future::join_all(all)).await;
    let places = receipts.into_iter().map(|receipt| receipt.unwrap().at.unwrap().seq);
    assert_eq!(places.collect::<Vec<_>>(), [2, 3, 4]);
    drop(soon(joining).await.unwrap().unwrap());
}

#[tokio::test]
async fn what_cannot_be_stored_now_is_sent_again_until_it_is_or_its_time_is_over() {
    let store = Shaky::default();
    let server = Server::on(&store).await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    store.set_down(true);
    let mut refused = server.proxy.count("\"code\":\"STORE_UNAVAILABLE\"");
    let late = square.trigger(tick(1)).timeout(Duration::from_millis(400)).await;
    assert!(matches!(late, Err(TriggerError::Timeout)), "{late:?}");
    assert!(*refused.borrow() > 0);
    let waiting = tokio::spawn(square.trigger(tick(2)).into_future());
    let before = *refused.borrow_and_update();
    soon(refused.wait_for(|refused| *refused > before + 1)).await.unwrap();
    store.set_down(false);
    let receipt = soon(waiting).await.unwrap().unwrap();
    let kept = square.history::<Tick>().await.unwrap().events;
    assert_eq!((kept.len(), kept[0].data.n), (1, 2));
    assert_eq!(kept[0].position.unwrap().seq, receipt.at.unwrap().seq);
}

#[tokio::test]
async fn trigger_over_the_servers_limit_is_rejected_and_takes_nothing_along() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let connection = ann.id();
    let chime = |length| Chime { by: "x".repeat(length), n: 1 };
    let before = square.trigger(tick(1)).into_future();
    let long = square.trigger(chime(1_100_000)).into_future();
    let after = square.trigger(tick(2)).into_future();
    let (before, long, after) = soon(async { tokio::join!(before, long, after) }).await;
    assert_eq!(before.unwrap().at.unwrap().seq, 1);
    assert_eq!(after.unwrap().at.unwrap().seq, 2);
    let Err(TriggerError::TooLarge { size, limit }) = long else { panic!("{long:?}") };
    assert!(size > 1_100_000, "{size}");
    assert_eq!(limit, 1_000_000);
    // What just fits is stored.
    let around = size - 1_100_000;
    soon(square.trigger(chime(limit - around)).into_future()).await.unwrap();
    let Err(TriggerError::TooLarge { size, .. }) = square.trigger(chime(limit - around + 1)).await
    else {
        panic!("one byte too many")
    };
    assert_eq!((size, ann.id()), (limit + 1, connection));
}

#[tokio::test]
async fn long_trigger_to_a_server_that_does_not_say_its_limit_loses_two_connections_and_no_more() {
    let mut server = Server::start().await;
    server.proxy.replace("\"maxMessageBytes\"", "\"noMessageBytes!\"");
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let long = square.trigger(Chime { by: "x".repeat(1_100_000), n: 1 }).into_future();
    let after = square.trigger(tick(1)).into_future();
    let (long, after) = soon(async { tokio::join!(long, after) }).await;
    assert!(matches!(long, Err(TriggerError::Disconnected)), "{long:?}");
    assert_eq!(after.unwrap().at.unwrap().seq, 1);
    let mut connections = 0;
    while let Ok(noted) = server.notes.try_recv() {
        connections += usize::from(noted == Noted::Authenticated("ann".into()));
    }
    assert_eq!(connections, 3);
}
