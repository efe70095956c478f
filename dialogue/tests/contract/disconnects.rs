//! Two hundred clients whose connections break at random.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    follower::Follower,
    producer::produce,
    world::{Dice, Server, limits, log, record},
};

const CLIENTS: u64 = 200;
const PRODUCERS: u64 = 8;
const FOR: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_out_of_order_when_connections_break_at_random() {
    let mut limits = limits();
    // Nobody counts as slow, and nobody is told by the by: whatever is missing is the server's mistake.
    (limits.outgoing_packets, limits.quiet_time) = (100_000, Duration::from_hours(1));
    let server = Arc::new(Server::start(limits).await);
    let (stop, stopped) = watch::channel(false);
    // The place where the log ends, once nobody produces any more.
    let (end, ended) = watch::channel(None);
    let address = watch::Sender::new(server.address);
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|n| {
            let name = format!("producer {n}");
            let pause = Duration::from_millis(100);
            let dice = Dice::new(n);
            tokio::spawn(produce(name, address.subscribe(), stopped.clone(), pause, dice))
        })
        .collect();
    let followers: Vec<_> = (PRODUCERS..CLIENTS)
        .map(|n| {
            let (server, mut ended) = (server.clone(), ended.clone());
            tokio::spawn(async move {
                let mut dice = Dice::new(n);
                let events: &[&str] = match n % 4 {
                    0 => &["tick"],
                    1 => &["tock"],
                    _ => &["tick", "tock"],
                };
                let mut follower = Follower::new(&format!("follower {n}"), events);
                loop {
                    let last: Option<u64> = *ended.borrow_and_update();
                    let Ok(mut link) = follower.connect(server.address).await else { continue };
                    if let Some(last) = last {
                        // It joined after the last event.
                        assert_eq!(follower.at().1, last);
                        break;
                    }
                    let breaks = tokio::time::sleep(dice.millis(10, 3_000));
                    tokio::select! {
                        _ = follower.follow(&mut link, None) => {}
                        () = breaks => {}
                        _ = ended.changed() => {}
                    }
                    // Without a farewell.
                    drop(link);
                    tokio::time::sleep(dice.millis(0, 1_000)).await;
                }
                follower
            })
        })
        .collect();
    tokio::time::sleep(FOR).await;
    stop.send_replace(true);
    let mut acknowledged = Vec::new();
    for producer in producers {
        acknowledged.extend(producer.await.unwrap());
    }
    let log = log(server.address).await;
    end.send_replace(log.1.last().map(|seen| seen.seq));
    let mut done = Vec::new();
    for follower in followers {
        done.push(follower.await.unwrap());
    }
    let recoveries: usize = done.iter().map(|follower| follower.recoveries).sum();
    let fetches: usize = done.iter().map(|follower| follower.fetches).sum();
    let record = record(log, acknowledged, done);
    println!("{}, {recoveries} recoveries, {fetches} fetches", record.summary());
    record.check();
    // Everybody was told everything, and nobody had to begin anew.
    assert!(record.consumers.iter().all(|(_, stretches)| stretches.len() == 1));
    assert_eq!(fetches, 0, "nothing was missing");
    assert!(recoveries > 1_000, "only {recoveries} connections broke");
}
