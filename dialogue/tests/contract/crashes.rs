//! Servers that are killed, stores that go away, and disks that are full.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use dialogue::{
    Dialogue, TriggerError,
    store::{Postgres, Sqlite},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    app::{Blink, Tick, Town, square},
    disk::Disk,
    follower::Follower,
    oracle::Record,
    postgres,
    producer::produce,
    serve::start,
    skipped::skipped,
    world::{Dice, Server, limits, log, record},
};

const PRODUCERS: u64 = 8;
const FOLLOWERS: u64 = 24;

/// Producers and consumers that find the server wherever it is.
struct Load {
    address: watch::Sender<SocketAddr>,
    stop: watch::Sender<bool>,
    end: watch::Sender<Option<u64>>,
    producers: Vec<JoinHandle<Vec<(String, u64)>>>,
    followers: Vec<JoinHandle<Follower>>,
}

impl Load {
    fn start(first: SocketAddr) -> Self {
        let (address, stop, end) =
            (watch::Sender::new(first), watch::Sender::new(false), watch::Sender::new(None));
        let producers = (0..PRODUCERS).map(|n| {
            let name = format!("producer {n}");
            let pause = Duration::from_millis(20);
            tokio::spawn(produce(name, address.subscribe(), stop.subscribe(), pause, Dice::new(n)))
        });
        let producers = producers.collect();
        let followers = (0..FOLLOWERS).map(|n| {
            let (address, ended) = (address.subscribe(), end.subscribe());
            let events: &[&str] = if n % 3 == 0 { &["tock"] } else { &["tick", "tock"] };
            let follower = Follower::new(&format!("follower {n}"), events);
            tokio::spawn(follow(follower, address, ended))
        });
        let followers = followers.collect();
        Self { address, stop, end, producers, followers }
    }

    /// Stops producing and checks everything; returns the summary.
    async fn check(self) -> String {
        let record = self.end().await;
        record.check();
        // The log outlives the server: nobody had to begin anew.
        assert!(record.consumers.iter().all(|(_, stretches)| stretches.len() == 1));
        record.summary()
    }

    /// The same of a store that has lost events: everybody was told, and no number is two events'.
    async fn check_after_loss(self) -> String {
        let mut record = self.end().await;
        let stretches = record.consumers.iter().flat_map(|(_, stretches)| stretches);
        let mut events = HashMap::new();
        for seen in
            stretches.flat_map(|stretch| &stretch.seen).chain(record.logs.values().flatten())
        {
            let known = events.entry((seen.epoch.clone(), seen.seq)).or_insert(seen);
            assert_eq!(*known, seen, "a number is one event's");
        }
        let log = record.logs.values().flatten();
        let stored: HashSet<_> = log.map(|seen| (seen.producer.clone(), seen.n)).collect();
        let acknowledged = record.acknowledged.len();
        record.acknowledged.retain(|sent| stored.contains(sent));
        let lost = acknowledged - record.acknowledged.len();
        assert!(lost > 0, "the store has lost nothing");
        for (_, stretches) in &mut record.consumers {
            assert!(stretches.len() > 1, "somebody was told of no loss");
            stretches.drain(..stretches.len() - 1);
        }
        record.check();
        format!("{lost} lost, {}", record.summary())
    }

    /// Stops producing; returns what happened once everybody has seen the end.
    async fn end(self) -> Record {
        self.stop.send_replace(true);
        let mut acknowledged = Vec::new();
        for producer in self.producers {
            acknowledged.extend(producer.await.unwrap());
        }
        let address = *self.address.borrow();
        let log = log(address).await;
        self.end.send_replace(Some(log.1.last().map_or(0, |seen| seen.seq)));
        let mut followers = Vec::new();
        for follower in self.followers {
            followers.push(follower.await.unwrap());
        }
        record(log, acknowledged, followers)
    }
}

/// Follows until everything was seen, on as many connections as it takes.
async fn follow(
    mut follower: Follower,
    mut address: watch::Receiver<SocketAddr>,
    mut ended: watch::Receiver<Option<u64>>,
) -> Follower {
    loop {
        let (server, last) = (*address.borrow_and_update(), *ended.borrow_and_update());
        let Ok(mut link) = follower.connect(server).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if last.is_some_and(|last| follower.at().1 == last) {
            break follower;
        }
        tokio::select! {
            _ = follower.follow(&mut link, None) => {}
            _ = ended.changed() => {}
        }
    }
}

/// Kills a server a few times under load and starts it again, with the same store.
async fn is_killed(store: &str) {
    let mut dice = Dice::new(9);
    let mut server = start(store).await;
    let load = Load::start(server.address);
    for _ in 0..6 {
        tokio::time::sleep(dice.millis(1_000, 3_000)).await;
        server.kill().await;
        server = start(store).await;
        load.address.send_replace(server.address);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("killed six times: {}", load.check().await);
}

/// Stops a server a few times under load, while it cannot get rid of what it broadcasts, and starts it
/// again, with the same store.
async fn is_stopped(store: &str) {
    let mut server = start(store).await;
    let load = Load::start(server.address);
    for _ in 0..3 {
        // It reads nothing of what somebody else is loud about.
        let mut stalled = Follower::new("stalled", &["tick", "blink"]).buffer(4_096);
        let unread = stalled.connect(server.address).await.unwrap();
        let mut noisy = Follower::new("noisy", &["tock"]).connect(server.address).await.unwrap();
        let data = json!({ "ballast": "x".repeat(500_000) });
        let blink = json!({ "roomId": "square", "event": "blink", "data": data });
        for _ in 0..20 {
            assert_eq!(noisy.ask("dialogue:trigger", blink.clone()).await.unwrap()["ok"], true);
        }
        assert!(server.terminate().await, "the server ended well");
        drop(unread);
        server = start(store).await;
        load.address.send_replace(server.address);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("stopped three times: {}", load.check().await);
}

/// The path of a database in a folder.
fn database(folder: &Path) -> String {
    folder.join("logs.db").to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_sqlite_is_killed_under_load() {
    let folder = tempfile::tempdir().unwrap();
    is_killed(&database(folder.path())).await;
}

/// A database server of the test's own, where the tests of databases are to run.
fn database_server() -> Option<postgres::Server> {
    let programs = std::env::var_os("DIALOGUE_TEST_POSTGRES").and_then(|_| postgres::find());
    if programs.is_none() {
        skipped("set DIALOGUE_TEST_POSTGRES or run `cargo xtask test`");
    }
    programs.map(|programs| postgres::Server::start(&programs).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_postgres_is_killed_under_load() {
    let Some(database) = database_server() else { return };
    is_killed(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_nothing_that_was_acknowledged() {
    let Some(mut database) = database_server() else { return };
    let store = Postgres::connect(database.url()).await.unwrap();
    let town = Dialogue::builder(Town::default()).limits(limits()).store(store);
    let server = Server::built(town).await;
    let load = Load::start(server.address);
    let square = server.dialogue.room(square::Room);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        database.crash().unwrap();
        let tick = || Tick { producer: "nowhere".into(), n: 0, ballast: String::new() };
        assert_eq!(square.trigger(tick()).await, Err(TriggerError::StoreUnavailable));
        // What nobody stores goes on.
        square.trigger(Blink { ballast: String::new() }).await.unwrap();
        database.boot().unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("crashed three times: {}", load.check().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_lags_and_is_promoted_under_load_resets_everybody() {
    let Some(mut primary) = database_server() else { return };
    let store = Postgres::connect(primary.url()).await.unwrap();
    let town = Dialogue::builder(Town::default()).limits(limits()).store(store);
    let server = Server::built(town).await;
    let load = Load::start(server.address);
    let replica = primary.replicate().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    replica.detach().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    primary.crash().unwrap();
    let _promoted = replica.replace(&primary).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("failed over once: {}", load.check_after_loss().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_told_to_end_under_load_with_a_stalled_reader() {
    let folder = tempfile::tempdir().unwrap();
    is_stopped(&database(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_of_a_server_that_was_told_to_end_has_everything_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let server = start(&path).await;
    let mut link = Follower::new("ann", &["tick"]).connect(server.address).await.unwrap();
    let tick = json!({ "producer": "ann", "n": 1, "ballast": "" });
    let tick = json!({ "roomId": "square", "event": "tick", "data": tick });
    assert_eq!(link.ask("dialogue:trigger", tick).await.unwrap()["ok"], true);
    // The history is read by other connections to the file than events are stored by.
    let page = json!({ "roomId": "square", "eventName": "tick" });
    let page = link.ask("dialogue:getHistory", page).await.unwrap();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert!(server.terminate().await, "the server ended well");
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");

    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&path, database(copy.path())).unwrap();
    let server = start(&database(copy.path())).await;
    assert_eq!(log(server.address).await.1.len(), 1);
    assert!(server.terminate().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_under_load_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::mount(40_000_000) else { return };
    let store = Sqlite::open(database(disk.path())).await.unwrap();
    let town = Dialogue::builder(Town::default()).limits(limits()).store(store);
    let server = Server::built(town).await;
    let load = Load::start(server.address);
    let square = server.dialogue.room(square::Room);
    let mut heavy = 0;
    for n in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let filler = disk.fill();
        // The database has some space of its own.
        let refused = loop {
            heavy += 1;
            let ballast = "x".repeat(100_000);
            let tick = Tick { producer: "a full disk".into(), n: heavy, ballast };
            if let Err(refused) = square.trigger(tick).await {
                break refused;
            }
            assert!(heavy < 100, "the disk is full");
        };
        assert_eq!(refused, TriggerError::StoreUnavailable);
        // What nobody stores goes on.
        square.trigger(Blink { ballast: String::new() }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::remove_file(filler).unwrap();
        // The log goes on, too.
        let producer = format!("a disk with space {n}");
        let tick = || Tick { producer: producer.clone(), n: 1, ballast: String::new() };
        while square.trigger(tick()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("full three times: {}", load.check().await);
}
