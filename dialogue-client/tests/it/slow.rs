//! Readers that are slower than what happens.

use std::time::Duration;

use dialogue::Rate;
use dialogue_client::RoomState;
use futures_util::FutureExt;

use crate::{
    app::{Blink, Chime, Scarce, Tick, square},
    server::{Server, limits, soon},
};

/// How much more happens than fits.
const MANY: u64 = 500;

#[tokio::test]
async fn a_slow_reader_gets_everything_that_is_stored() {
    let mut limits = limits();
    // Its client asks for what does not fit, and is told to wait.
    limits.history = Some(Rate::per_second(50).burst(2));
    let server = Server::with(limits).await;
    let ann = server.client("ann").buffer(8).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let (mut slow, mut swift) = (square.on::<Tick>(), square.on::<Tick>());
    let mut errors = ann.errors();
    let town = server.dialogue.room(square::Room);
    for n in 1..=MANY {
        town.trigger(Tick { by: "town".into(), n }).await.unwrap();
        assert_eq!(soon(swift.next()).await.unwrap().data.n, n);
    }
    for n in 1..=MANY {
        assert_eq!(soon(slow.next()).await.unwrap().data.n, n);
    }
    // It is back, and hears what happens.
    for n in MANY + 1..=MANY + 20 {
        town.trigger(Tick { by: "town".into(), n }).await.unwrap();
        assert_eq!(soon(slow.next()).await.unwrap().data.n, n);
    }
    // That it had to wait is nobody's concern.
    assert!(errors.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_slow_reader_catches_up_across_a_lost_connection_while_more_happens() {
    let server = Server::start().await;
    let ann = server.client("ann").buffer(1).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    let town = server.dialogue.room(square::Room);
    let mut read = 0;
    for n in 1..=200 {
        town.trigger(Tick { by: "town".into(), n }).await.unwrap();
        if n % 40 == 0 {
            server.proxy.cut();
        }
        if n % 2 == 0 {
            read += 1;
            assert_eq!(soon(ticks.next()).await.unwrap().data.n, read);
        }
    }
    while read < 200 {
        read += 1;
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, read);
    }
}

#[tokio::test]
async fn pages_of_a_slow_stream_that_take_longer_than_a_request_are_given_more_time() {
    let server = Server::start().await;
    let time = Duration::from_millis(400);
    let ann = server.client("ann").buffer(100).request_timeout(time).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut chimes = square.on::<Chime>();
    ann.rooms().await.unwrap();
    let town = server.dialogue.room(square::Room);
    let by = "x".repeat(2_000);
    for n in 1..=200 {
        town.trigger(Chime { by: by.clone(), n }).await.unwrap();
    }
    ann.rooms().await.unwrap();
    // 50 events of a page take two seconds.
    server.proxy.pace(50_000);
    for n in 1..=200 {
        assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn a_client_that_the_server_moved_aside_fetches_what_it_missed() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square = ann.join(square::Room).await.unwrap();
    let mut chimes = square.on::<Chime>();
    // This is answered after the subscription.
    ann.rooms().await.unwrap();
    server.proxy.stall(true);
    let town = server.dialogue.room(square::Room);
    // More than the buffers on the way take in.
    let by = "x".repeat(60_000);
    for n in 1..=400 {
        town.trigger(Chime { by: by.clone(), n }).await.unwrap();
    }
    server.proxy.stall(false);
    for n in 1..=400 {
        assert_eq!(soon(chimes.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn slow_reader_of_what_is_kept_in_part_is_told_a_reset_and_goes_on_with_what_is_kept() {
    for (buffer, read) in [(1, 1), (2, 2), (4, 4)] {
        let server = Server::start().await;
        let ann = server.client("ann").buffer(buffer).connect().await.unwrap();
        let square = ann.join(square::Room).await.unwrap();
        let (mut scarce, mut resets) = (square.on::<Scarce>(), square.resets());
        let town = server.dialogue.room(square::Room);
        let mut last = 0;
        for n in 1..=9 {
            last = town.trigger(Scarce { n }).await.unwrap().position.unwrap().seq;
        }
        // All of it has arrived when this is answered.
        ann.rooms().await.unwrap();
        for n in 1..=read {
            assert_eq!(soon(scarce.next()).await.unwrap().data.n, n);
        }
        let reset = soon(resets.next()).await.unwrap();
        assert_eq!((reset.at.seq, reset.event.as_deref()), (last - 3, Some("scarce")));
        for n in 7..=9 {
            assert_eq!(soon(scarce.next()).await.unwrap().data.n, n);
        }
        town.trigger(Scarce { n: 10 }).await.unwrap();
        assert_eq!(soon(scarce.next()).await.unwrap().data.n, 10);
        assert!(resets.next().now_or_never().is_none());
    }
}

#[tokio::test]
async fn slow_reader_of_one_event_keeps_its_place_when_another_event_is_reset() {
    let server = Server::start().await;
    let ann = server.client("ann").buffer(1).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let (mut ticks, mut scarce) = (square.on::<Tick>(), square.on::<Scarce>());
    let mut resets = square.resets();
    let town = server.dialogue.room(square::Room);
    for n in 1..=5 {
        town.trigger(Tick { by: "town".into(), n }).await.unwrap();
    }
    ann.rooms().await.unwrap();
    server.proxy.close();
    soon(square.states().wait_for(|state| *state == RoomState::Rejoining)).await.unwrap();
    for n in 1..=300 {
        town.trigger(Scarce { n }).await.unwrap();
    }
    server.proxy.open();
    assert_eq!(soon(resets.next()).await.unwrap().event.as_deref(), Some("scarce"));
    for n in 1..=5 {
        assert_eq!(soon(ticks.next()).await.unwrap().data.n, n);
    }
    for n in 298..=300 {
        assert_eq!(soon(scarce.next()).await.unwrap().data.n, n);
    }
}

#[tokio::test]
async fn what_is_not_stored_is_dropped_and_counted() {
    let server = Server::start().await;
    let ann = server.client("ann").buffer(3).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut blinks = square.on::<Blink>();
    let town = server.dialogue.room(square::Room);
    for n in 1..=10 {
        town.trigger(Blink { n }).await.unwrap();
    }
    ann.rooms().await.unwrap();
    for n in 1..=3 {
        assert_eq!(soon(blinks.next()).await.unwrap().data.n, n);
    }
    assert_eq!(blinks.dropped(), 7);
    town.trigger(Blink { n: 11 }).await.unwrap();
    assert_eq!(soon(blinks.next()).await.unwrap().data.n, 11);
}
