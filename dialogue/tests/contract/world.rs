//! What the tests have in common: chance, a server, and the log at the end.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use dialogue::{Builder, Dialogue, Limits, store::Memory};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    app::Town,
    follower::Follower,
    link::{Gone, Link},
    oracle::{Record, Seen},
};

/// Chance that can be repeated.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

/// The default limits, except on how often, and on how many come from one place.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.triggers, limits.requests, limits.history) = (None, None, None);
    (limits.creations, limits.connects, limits.joins) = (None, None, None);
    (limits.connects_per_address, limits.connects_in_all) = (None, None);
    (limits.triggers_per_address, limits.triggers_in_all) = (None, None);
    (limits.answers, limits.answers_per_address) = (None, None);
    (limits.incoming, limits.incoming_per_address) = (None, None);
    limits.creations_per_address = None;
    limits.connections_per_address = 10_000;
    limits
}

/// A server in this process.
pub struct Server {
    pub dialogue: Dialogue<Town>,
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start(limits: Limits) -> Self {
        Self::built(Dialogue::builder(Town::default()).limits(limits).store(Memory::new())).await
    }

    pub async fn built(builder: Builder<Town>) -> Self {
        let dialogue = builder.build().await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let served = dialogue.clone();
        let serving =
            tokio::spawn(async move { served.serve_on(tcp, axum::Router::new()).await.unwrap() });
        Self { dialogue, address, serving }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Reads the log as it is now, by its first event to its last.
pub async fn log(address: SocketAddr) -> (String, Vec<Seen>) {
    loop {
        if let Ok(log) = read(address).await {
            return log;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn read(address: SocketAddr) -> Result<(String, Vec<Seen>), Gone> {
    let mut link = Link::open(address, "historian", None).await?;
    let join = json!({ "roomId": "square", "subscribe": ["tick", "tock"] });
    if link.ask("dialogue:join", join).await?["ok"] != true {
        return Err(Gone);
    }
    let mut log: Vec<Seen> = Vec::new();
    loop {
        let after = log.last().map_or(0, |seen| seen.seq);
        let range = json!({ "roomId": "square", "after": after, "limit": 100 });
        let page = link.ask("dialogue:getHistory", range).await?;
        if page["ok"] != true {
            return Err(Gone);
        }
        log.extend(page["events"].as_array().unwrap().iter().map(Seen::of));
        if page["complete"] == true {
            return Ok((page["epoch"].as_str().unwrap().to_owned(), log));
        }
    }
}

/// What happened, by the log at the end.
pub fn record(
    (epoch, log): (String, Vec<Seen>),
    acknowledged: Vec<(String, u64)>,
    followers: Vec<Follower>,
) -> Record {
    let end = Some((epoch.clone(), log.last().map_or(0, |seen| seen.seq)));
    let consumers = followers.into_iter().map(|it| (it.events, it.stretches)).collect();
    Record { logs: HashMap::from([(epoch, log)]), acknowledged, consumers, end }
}
