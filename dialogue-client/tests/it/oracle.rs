//! Random trouble, and whether every promise was kept.
//!
//! `DIALOGUE_CUTS_SECONDS` says for how long (default 5), `DIALOGUE_CUTS_SEED` which trouble.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    time::Duration,
};

use dialogue::{Epoch, Event, EventMessage, Limits};
use dialogue_client::{At, Client, Events, Reset};
use fastrand::Rng;
use tokio::{sync::watch, time::Instant};

use crate::{
    app::{Chime, Login, Tick, square},
    proxy::Proxy,
    server::{Server, limits, soon, swiftly},
};

const PRODUCERS: u64 = 4;
const CONSUMERS: u64 = 4;
/// Who triggers the last event of all.
const END: &str = "end";

/// An event in its place: whose, and which.
type Log = BTreeMap<u64, (String, u64)>;
/// Of each epoch.
type Logs = HashMap<Epoch, Log>;

/// What a stream said.
#[derive(Default)]
struct Seen {
    logs: Logs,
    resets: Vec<At>,
}

/// Who makes trouble for a few clients.
struct Road {
    proxy: Proxy,
    rng: Rng,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_what_is_acknowledged_arrives_once_and_in_order() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("DIALOGUE_CUTS_SECONDS").unwrap_or(5));
    let seed = number("DIALOGUE_CUTS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("DIALOGUE_CUTS_SEED={seed} DIALOGUE_CUTS_SECONDS={}", time.as_secs());
    let mut rng = Rng::with_seed(seed);
    let mut server = Server::with(patient()).await;
    let address = watch::Sender::new(server.address);
    let (stop, stopped) = watch::channel(false);

    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    let mut roads = Vec::new();
    for n in 0..PRODUCERS + CONSUMERS {
        let proxy = Proxy::to(server.address).await;
        let client = connect(&proxy, &format!("client {n}"), n).await;
        let road = Road { proxy, rng: rng.fork() };
        if n < CONSUMERS {
            let square = client.join(square::Room).await.unwrap();
            let (ticks, chimes) = (square.on::<Tick>(), square.on::<Chime>());
            let slow = (n % 2 == 0).then(|| rng.fork());
            let (first, second) = (square.resets(), square.resets());
            consumers.push((
                tokio::spawn(follow(ticks, first, slow.clone(), |tick| (tick.by, tick.n))),
                tokio::spawn(follow(chimes, second, slow, |chime| (chime.by, chime.n))),
            ));
        } else {
            producers.push(tokio::spawn(produce(client, n, stopped.clone())));
        }
        roads.push(tokio::spawn(trouble(road, address.subscribe(), stopped.clone())));
    }

    let end = Instant::now() + time;
    let mut restarts = 0;
    while Instant::now() < end {
        let wait = Duration::from_millis(rng.u64(1_500..6_000)).min(end - Instant::now());
        tokio::time::sleep(wait).await;
        server.restart_with(patient()).await;
        restarts += 1;
        address.send_replace(server.address);
    }
    // Everybody has some time with the last server.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    let mut acknowledged = (Logs::new(), Logs::new());
    for producer in producers {
        let (ticks, chimes) = soon(producer).await.unwrap();
        merge(&mut acknowledged.0, ticks);
        merge(&mut acknowledged.1, chimes);
    }
    // They stay open until everybody has reached the end.
    let _roads = soon(futures_util::future::join_all(roads)).await;
    let square = server.dialogue.room(square::Room);
    square.trigger(Tick { by: END.into(), n: 0 }).await.unwrap();
    let last = square.trigger(Chime { by: END.into(), n: 0 }).await.unwrap().position.unwrap();
    let mut count = 0;
    for (ticks, chimes) in consumers {
        let (ticks, chimes) = (soon(ticks).await.unwrap(), soon(chimes).await.unwrap());
        for resets in [&ticks.resets, &chimes.resets] {
            assert!(resets.len() <= restarts, "only another log resets: {resets:?}");
        }
        count += check(&acknowledged.0, &ticks, last.epoch)
            + check(&acknowledged.1, &chimes, last.epoch);
    }
    let stored: usize = acknowledged.0.values().chain(acknowledged.1.values()).map(Log::len).sum();
    println!("{stored} acknowledged in {} logs, {count} seen", acknowledged.0.len());
    assert!(stored > 50, "only {stored} events were acknowledged");
}

/// A server that replays whatever was missed, and soon says what was lost.
fn patient() -> Limits {
    let mut limits = limits();
    (limits.recovery_events, limits.recovery_bytes) = (1_000_000, 1_000_000_000);
    limits.quiet_time = Duration::from_millis(500);
    limits
}

async fn connect(proxy: &Proxy, user: &str, n: u64) -> Client {
    let user = user.to_owned();
    let login = move || {
        let user = user.clone();
        // Some have to send new credentials all the time.
        let lasts = (n % 2 == 1).then_some(2_000);
        async move { Login { user, lasts } }
    };
    let client = Client::builder(proxy.url())
        .auth(login)
        .reconnect(swiftly())
        .connect_timeout(Duration::from_secs(2))
        .request_timeout(Duration::from_secs(2))
        .buffer(if n.is_multiple_of(2) { 4 } else { 1_024 })
        .connect();
    client.await.unwrap()
}

/// Cuts, stalls, delays and closes a road until told to stop, and leaves it open.
async fn trouble(
    Road { proxy, mut rng }: Road,
    mut address: watch::Receiver<std::net::SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) -> Proxy {
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            moved = address.changed() => {
                if moved.is_err() { break }
                proxy.lead_to(*address.borrow_and_update());
                proxy.cut();
                continue;
            }
            () = tokio::time::sleep(Duration::from_millis(rng.u64(50..800))) => {}
        }
        let a_while = Duration::from_millis(rng.u64(1..300));
        match rng.u8(0..8) {
            0 => {
                proxy.stall(true);
                tokio::time::sleep(a_while).await;
                proxy.stall(false);
            }
            1 => {
                proxy.close();
                tokio::time::sleep(a_while).await;
                proxy.open();
            }
            2 => proxy.delay(Duration::from_millis(rng.u64(0..20))),
            3 => proxy.cut_instead_of("\"recovered\""),
            4 => proxy.cut_instead_of("\"seq\":"),
            5 => proxy.lose("\"roomId\":\"square\""),
            _ => proxy.cut(),
        }
    }
    proxy.delay(Duration::ZERO);
    proxy
}

/// Triggers numbered events one after the other; returns what was acknowledged.
async fn produce(client: Client, producer: u64, stopped: watch::Receiver<bool>) -> (Logs, Logs) {
    let (mut ticks, mut chimes) = (Logs::new(), Logs::new());
    let square = loop {
        match client.join(square::Room).await {
            Ok(square) => break square,
            Err(error) => println!("not joined yet: {error}"),
        }
    };
    let by = producer.to_string();
    for n in 1.. {
        if *stopped.borrow() {
            break;
        }
        let by = by.clone();
        let (logs, receipt) = if n % 4 == 0 {
            (&mut chimes, square.trigger(Chime { by: by.clone(), n }).await)
        } else {
            (&mut ticks, square.trigger(Tick { by: by.clone(), n }).await)
        };
        let At { epoch, seq, .. } = receipt.unwrap().at.unwrap();
        assert_eq!(logs.entry(epoch).or_default().insert(seq, (by, n)), None);
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    (ticks, chimes)
}

/// Reads a stream until the last event.
async fn follow<E: Event>(
    mut events: Events<E>,
    mut resets: dialogue_client::Feed<Reset>,
    mut slow: Option<Rng>,
    whose: fn(E) -> (String, u64),
) -> Seen {
    let mut seen = Seen::default();
    let mut last: Option<At> = None;
    while let Some(EventMessage { data, position, .. }) = events.next().await {
        let position = position.unwrap();
        let at = At { epoch: position.epoch, seq: position.seq };
        if let Some(last) = last.filter(|last| last.epoch == at.epoch) {
            assert!(last.seq < at.seq, "{last:?} comes before {at:?}");
            assert_eq!(position.prev, last.seq, "something is missing before {at:?}");
        }
        last = Some(at);
        let whose = whose(data);
        let is_end = whose.0 == END;
        seen.logs.entry(at.epoch).or_default().insert(at.seq, whose);
        if is_end {
            break;
        }
        if let Some(rng) = &mut slow {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..6))).await;
        }
    }
    while let Some(reset) = futures_util::FutureExt::now_or_never(resets.next()).flatten() {
        assert_eq!(reset.event, None, "everything is kept");
        seen.resets.push(reset.at);
    }
    seen
}

fn merge(logs: &mut Logs, more: Logs) {
    for (epoch, log) in more {
        logs.entry(epoch).or_default().extend(log);
    }
}

/// Panics if a stream missed something or saw it twice; returns how much it saw.
fn check(acknowledged: &Logs, seen: &Seen, last: Epoch) -> usize {
    for (epoch, log) in &seen.logs {
        let starts: Vec<u64> =
            seen.resets.iter().filter(|at| at.epoch == *epoch).map(|at| at.seq).collect();
        assert!(starts.len() <= 1, "nothing is lost within one log: {starts:?}");
        let after = starts.first().copied().unwrap_or(0);
        let until = log.keys().next_back().copied().unwrap_or(0);
        let stored = acknowledged.get(epoch).into_iter().flatten();
        for (seq, event) in stored.filter(|(seq, _)| **seq > after) {
            if *seq <= until || *epoch == last {
                assert_eq!(log.get(seq), Some(event), "{epoch} {seq}");
            }
        }
        let mut producers: HashMap<&str, u64> = HashMap::new();
        for (by, n) in log.values() {
            let before = producers.insert(by, *n);
            assert!(before.is_none_or(|before| before < *n), "{by}: {n} comes after {before:?}");
        }
    }
    assert!(seen.logs.contains_key(&last), "the last event was seen");
    seen.logs.values().map(Log::len).sum()
}
