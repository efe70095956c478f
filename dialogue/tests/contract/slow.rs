//! Readers that cannot keep up.

use std::time::Duration;

use dialogue::{Limits, RoomHandle};

use crate::{
    app::{Blink, Tick, Town, square},
    follower::Follower,
    link::Link,
    world::{Server, limits, log, record},
};

/// What the system takes in that a slow reader does not read.
const BUFFER: u32 = 4_096;
/// What an event weighs: a few are more than everything on the way to a slow reader holds.
const BALLAST: usize = 100_000;
const EVENTS: u64 = 200;

fn narrow() -> Limits {
    let mut limits = limits();
    limits.outgoing_packets = 8;
    // Nobody is told by the by.
    limits.quiet_time = Duration::from_hours(1);
    limits
}

/// One who reads everything at once.
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
async fn a_reader_that_stalls_and_comes_back_fetches_what_it_missed() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut slow = Follower::new("slow", &["tick", "tock", "blink"]).buffer(BUFFER);
    let mut link = slow.connect(server.address).await.unwrap();
    let mut good = Good::join(&server).await;
    // It reads nothing, and nobody waits for it.
    good.flood(&square, 1..=EVENTS).await;
    // Then it reads on. The same connection tells it where the log ends.
    let log = log(server.address).await;
    let end = (log.0.clone(), EVENTS);
    slow.follow(&mut link, Some(&end)).await.unwrap();
    assert!(slow.fetches > 0);
    // It is no longer aside.
    good.flood(&square, EVENTS + 1..=EVENTS + 3).await;
    let log = crate::world::log(server.address).await;
    let (end, fetches) = ((log.0.clone(), EVENTS + 3), slow.fetches);
    slow.follow(&mut link, Some(&end)).await.unwrap();
    assert_eq!(slow.fetches, fetches, "what comes now comes by itself");
    assert_eq!((slow.recoveries, good.follower.fetches), (0, 0));
    record(log, Vec::new(), vec![slow, good.follower]).check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_trickles_misses_nothing_and_delays_nobody() {
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
async fn a_reader_that_stalls_for_good_is_gone_and_its_hooks_have_run() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut left = server.dialogue.app().left.subscribe();
    let mut stalled = Follower::new("stalled", &["tick"]).buffer(BUFFER);
    let link = stalled.connect(server.address).await.unwrap();
    let mut good = Good::join(&server).await;
    good.flood(&square, 1..=EVENTS).await;
    let gone = async {
        loop {
            tokio::select! {
                who = left.recv() => break who.unwrap(),
                // Something has to be on its way for the system to notice.
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    };
    let who = tokio::time::timeout(Duration::from_mins(1), gone).await;
    assert_eq!(who.as_deref(), Ok("stalled"));
    assert_eq!(server.dialogue.stats().members, 1);
    drop(link);
}

/// Memory stays bounded by what may wait for one reader, however much there is for it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_stalled_readers_is_bounded() {
    let server = Server::start(narrow()).await;
    let square = server.dialogue.room(square::Room);
    let mut stalled = Vec::new();
    for n in 0..20 {
        let mut follower =
            Follower::new(&format!("stalled {n}"), &["tick", "blink"]).buffer(BUFFER);
        stalled.push(follower.connect(server.address).await.unwrap());
    }
    let mut good = Good::join(&server).await;
    good.flood(&square, 1..=20).await;
    let before = resident();
    // Ten times what may wait for them all, of what nobody keeps.
    let blink = || Blink { ballast: "x".repeat(BALLAST) };
    for _ in 0..10 * 8 * 20 {
        square.trigger(blink()).await.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 10 * 8 * BALLAST / 1024, "{grown} KiB more");
    drop(stalled);
}

/// The memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
