//! A consumer that does what the contract asks of clients: it drops what it has seen, fetches what is
//! missing, and comes back with the place that it had reached.

use std::{collections::HashMap, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    link::{Gone, Link},
    oracle::{Seen, Stretch},
};

pub struct Follower {
    pub user: String,
    pub events: Vec<String>,
    pub stretches: Vec<Stretch>,
    /// How far it has come.
    at: u64,
    /// Up to where everything was told, and the last event of each name that came since.
    whole: u64,
    last: HashMap<String, u64>,
    buffer: Option<u32>,
    pub fetches: usize,
    pub recoveries: usize,
}

impl Follower {
    pub fn new(user: &str, events: &[&str]) -> Self {
        Self {
            user: user.to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            stretches: Vec::new(),
            at: 0,
            whole: 0,
            last: HashMap::new(),
            buffer: None,
            fetches: 0,
            recoveries: 0,
        }
    }

    /// Lets the system take in only so many bytes that are not read.
    pub fn buffer(mut self, bytes: u32) -> Self {
        self.buffer = Some(bytes);
        self
    }

    pub fn at(&self) -> (String, u64) {
        (self.stretches.last().map(|stretch| stretch.epoch.clone()).unwrap_or_default(), self.at)
    }

    /// Connects and joins, or joins again.
    pub async fn connect(&mut self, address: SocketAddr) -> Result<Link, Gone> {
        let mut link = Link::open(address, &self.user, self.buffer).await?;
        let mut join = json!({ "roomId": "square", "subscribe": self.events });
        if let Some(stretch) = self.stretches.last() {
            join["since"] = json!({ "epoch": stretch.epoch, "seq": self.at });
        }
        let joined = link.ask("dialogue:join", join).await?;
        if joined["ok"] != true {
            let code = joined["code"].as_str().unwrap_or_default();
            assert!(["STORE_UNAVAILABLE", "DRAINING"].contains(&code), "{joined}");
            return Err(Gone);
        }
        if joined["recovered"] == true {
            self.recoveries += 1;
            for event in joined["events"].as_array().unwrap() {
                let whole = self.see(event);
                assert!(whole, "a recovery is whole: {event}");
            }
            self.is_whole(joined["seq"].as_u64().unwrap());
        } else {
            self.begin(&joined);
        }
        Ok(link)
    }

    fn begin(&mut self, position: &Value) {
        let epoch = position["epoch"].as_str().unwrap().to_owned();
        self.at = 0;
        self.is_whole(position["seq"].as_u64().unwrap());
        self.stretches.push(Stretch { epoch, after: self.at, seen: Vec::new() });
    }

    fn is_whole(&mut self, seq: u64) {
        self.at = self.at.max(seq);
        self.whole = self.at;
        self.last.clear();
    }

    /// Follows until it has reached `end`, or the connection is gone.
    pub async fn follow(
        &mut self,
        link: &mut Link,
        end: Option<&(String, u64)>,
    ) -> Result<(), Gone> {
        while end.is_none_or(|end| self.at() != *end) {
            self.step(link).await?;
        }
        Ok(())
    }

    /// Takes in the next thing that happens.
    pub async fn step(&mut self, link: &mut Link) -> Result<(), Gone> {
        let (name, body) = link.event().await?;
        let known = self.stretches.last().map(|stretch| stretch.epoch.clone());
        match &*name {
            "dialogue:event" if body.get("seq").is_none() => Ok(()),
            "dialogue:event" if body["epoch"].as_str() == known.as_deref() => {
                if self.see(&body) {
                    Ok(())
                } else {
                    self.fetch(link).await
                }
            }
            "dialogue:position" if body["epoch"].as_str() == known.as_deref() => {
                if body["seq"].as_u64().unwrap() > self.at {
                    self.fetch(link).await
                } else {
                    Ok(())
                }
            }
            // Another log: whatever was missed cannot be known.
            "dialogue:event" | "dialogue:position" => self.fetch(link).await,
            _ => Ok(()),
        }
    }

    /// Takes in an event, unless it has been seen; returns whether nothing is missing before it.
    fn see(&mut self, message: &Value) -> bool {
        let seen = Seen::of(message);
        if seen.seq <= self.at {
            return true;
        }
        if seen.prev > self.last.get(&seen.event).copied().unwrap_or(self.whole) {
            return false;
        }
        self.at = seen.seq;
        self.last.insert(seen.event.clone(), seen.seq);
        let stretch = self.stretches.last_mut().unwrap();
        assert_eq!(seen.epoch, stretch.epoch);
        stretch.seen.push(seen);
        true
    }

    async fn fetch(&mut self, link: &mut Link) -> Result<(), Gone> {
        self.fetches += 1;
        loop {
            let range = json!({ "roomId": "square", "after": self.at, "limit": 100 });
            let page = link.ask("dialogue:getHistory", range).await?;
            if page["ok"] != true {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
            let epoch = self.stretches.last().map(|stretch| &*stretch.epoch);
            let events = page["events"].as_array().unwrap();
            if page["epoch"].as_str() != epoch || !events.iter().all(|event| self.see(event)) {
                self.begin(&page);
                return Ok(());
            }
            if page["complete"] == true {
                self.is_whole(page["seq"].as_u64().unwrap());
                return Ok(());
            }
        }
    }
}
