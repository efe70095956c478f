//! Readers that cannot keep up.

use std::time::Duration;

use dialogue::{Limits, RoomHandle};
use serde_json::json;

use crate::{
    app::{Blink, Tick, Town, square},
    follower::Follower,
    link::Link,
    world::{Server, limits, log, record},
};

/// Receive buffer of a slow reader, in bytes.
const BUFFER: u32 = 4_096;
/// Payload size in bytes. A few events fill every buffer between the server and a slow reader.
const BALLAST: usize = 100_000;
const EVENTS: u64 = 200;

fn narrow() -> Limits {
    let mut limits = limits();
    limits.outgoing_packets = 8;
    // No `dialogue:position` because the room is quiet.
    limits.quiet_time = Duration::from_hours(1);
    limits
}

/// A reader that keeps up.
struct Good {
    follower: Follower,
    link: Link,
}

impl Good {
    async fn join(server: &Server) -> Self {
        let mut follower = Follower::new("good", &["tick", "tock"]);
        let link = follower.connect(server.address).await.unwrap();
        Self { follower, link }
    }

    /// Produces events by the server's own code, each as soon as this reader has seen the last one.
    async fn flood(
        &mut self,
        square: &RoomHandle<Town, square::Room>,
        ns: impl Iterator<Item = u64>,
    ) {
        for n in ns {
            let tick = Tick { producer: "flood".into(), n, ballast: "x".repeat(BALLAST) };
            let receipt = square.trigger(tick).await.unwrap();
            square.trigger(Blink { ballast: "x".repeat(BALLAST) }).await.unwrap();
            let position = receipt.position.unwrap();
            let end = (position.epoch.to_string(), position.seq);
            self.follower.follow(&mut self.link, Some(&end)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_consumer_that_reads_again_fetches_missed_events() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut slow = Follower::new("slow", &["tick", "tock", "blink"]).buffer(BUFFER);
    let mut link = slow.connect(server.address).await.unwrap();
    let mut good = Good::join(&server).await;
    // `slow` reads nothing, and the flood does not wait for it.
    good.flood(&square, 1..=EVENTS).await;
    // Then `slow` reads again. The server sends `dialogue:position` on the same connection.
    let log = log(server.address).await;
    let end = (log.0.clone(), EVENTS);
    slow.follow(&mut link, Some(&end)).await.unwrap();
    assert!(slow.fetches > 0);
    // The room no longer sets `slow` aside.
    good.flood(&square, EVENTS + 1..=EVENTS + 3).await;
    let log = crate::world::log(server.address).await;
    let (end, fetches) = ((log.0.clone(), EVENTS + 3), slow.fetches);
    slow.follow(&mut link, Some(&end)).await.unwrap();
    assert_eq!(slow.fetches, fetches, "later events arrive without a fetch");
    assert_eq!((slow.recoveries, good.follower.fetches), (0, 0));
    record(log, Vec::new(), vec![slow, good.follower]).check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_consumer_that_reads_every_20_ms_misses_no_event() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut slow = Follower::new("slow", &["tick", "tock", "blink"]).buffer(BUFFER);
    let mut link = slow.connect(server.address).await.unwrap();
    let mut good = Good::join(&server).await;
    let (done, is_done) = tokio::sync::watch::channel(None);
    let trickling = tokio::spawn(async move {
        loop {
            let end = is_done.borrow().clone();
            if end.as_ref() == Some(&slow.at()) {
                break slow;
            }
            slow.step(&mut link).await.unwrap();
            if end.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    good.flood(&square, 1..=EVENTS).await;
    let log = log(server.address).await;
    done.send_replace(Some((log.0.clone(), EVENTS)));
    let slow = trickling.await.unwrap();
    assert!(slow.fetches > 0);
    assert_eq!((slow.recoveries, good.follower.fetches), (0, 0));
    record(log, Vec::new(), vec![slow, good.follower]).check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_reads_nothing_is_disconnected_and_its_leave_hook_runs() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut left = server.dialogue.app().left.subscribe();
    let mut stalled = Follower::new("stalled", &["tick"]).buffer(BUFFER);
    let link = stalled.connect(server.address).await.unwrap();
    let mut good = Good::join(&server).await;
    good.flood(&square, 1..=EVENTS).await;
    let who = tokio::time::timeout(Duration::from_mins(1), left.recv()).await.unwrap();
    assert_eq!(who.as_deref(), Ok("stalled"));
    assert_eq!(server.dialogue.stats().members, 1);
    drop(link);
}

/// Memory is bounded by the queue limit of a reader, not by the number of events.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_stalled_readers_is_bounded() {
    // A separate process, so that its resident memory is the server's alone.
    let server = crate::serve::start("memory").await;
    let mut stalled = Vec::new();
    for n in 0..20 {
        let mut follower =
            Follower::new(&format!("stalled {n}"), &["tick", "blink"]).buffer(BUFFER);
        stalled.push(follower.connect(server.address).await.unwrap());
    }
    let mut noisy = Follower::new("noisy", &["tock"]).connect(server.address).await.unwrap();
    let data = json!({ "ballast": "x".repeat(BALLAST) });
    let blink = json!({ "roomId": "square", "event": "blink", "data": data });
    let mut memory = Vec::new();
    // As much as may wait for one of them, and then ten times as much.
    let (few, many) = (150, 1_500);
    for blinks in [few, many] {
        for _ in 0..blinks {
            assert_eq!(noisy.ask("dialogue:trigger", blink.clone()).await.unwrap()["ok"], true);
        }
        memory.push(server.resident());
    }
    let grown = memory[1].saturating_sub(memory[0]);
    // Even if all of them wait for the same.
    let unbounded = many * BALLAST;
    assert!(grown < unbounded / 3, "{grown} bytes more, of {unbounded}");
    drop(stalled);
}

/// Not a test: how long events take to the others, with one reader that stalls and without, in pairs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone, in release"]
async fn measure_what_a_stalled_reader_costs_the_others() {
    let mut ratios = Vec::new();
    for pair in 0..8 {
        // Which comes first takes turns.
        let (first, second) = (latencies(pair % 2 == 0).await, latencies(pair % 2 == 1).await);
        let (with, without) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        let ratio = with.1.as_secs_f64() / without.1.as_secs_f64();
        println!("with {with:?}, without {without:?}: p99 x {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of p99 ratios: {:.2}, of {ratios:.2?}", f64::midpoint(ratios[3], ratios[4]));
}

/// The median and the 99th percentile of how long events take to good readers.
async fn latencies(stall: bool) -> (Duration, Duration) {
    const READERS: usize = 50;
    const TICKS: u64 = 600;
    let server = Server::start(limits()).await;
    let square = server.dialogue.room(square::Room);
    let mut stalled = Follower::new("stalled", &["tick", "blink"]).buffer(BUFFER);
    let unread = if stall { Some(stalled.connect(server.address).await.unwrap()) } else { None };
    if stall {
        // More than everything on the way to it holds.
        for _ in 0..200 {
            square.trigger(Blink { ballast: "x".repeat(BALLAST) }).await.unwrap();
        }
    }
    let begun = std::time::Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let address = server.address;
            tokio::spawn(async move {
                let mut reader = Follower::new(&format!("reader {n}"), &["tick"]);
                let mut link = reader.connect(address).await.unwrap();
                let mut taken = Vec::new();
                while reader.at().1 < TICKS {
                    reader.step(&mut link).await.unwrap();
                    let last = reader.stretches[0].seen.last();
                    if let Some(seen) = last {
                        // The number says when it was sent.
                        let sent = Duration::from_micros(seen.n);
                        taken.push(begun.elapsed().saturating_sub(sent));
                    }
                }
                taken
            })
        })
        .collect();
    while server.dialogue.stats().members < READERS + usize::from(stall) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..TICKS {
        ticks.tick().await;
        let n = u64::try_from(begun.elapsed().as_micros()).unwrap();
        let tick = Tick { producer: "clock".into(), n, ballast: "x".repeat(200) };
        square.trigger(tick).await.unwrap();
    }
    let mut taken = Vec::new();
    for reader in readers {
        taken.extend(reader.await.unwrap());
    }
    drop(unread);
    taken.sort();
    (taken[taken.len() / 2], taken[taken.len() * 99 / 100])
}
