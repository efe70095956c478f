//! The attacks, for the tests of memory and for the measurement of honest clients.

use std::{any::Any, time::Duration};

use serde_json::json;

use crate::{
    attacker::{Attacker, Poller, event, frame, request},
    town::Site,
};

/// An attack by the clients of one address.
#[derive(Clone, Copy, Debug)]
pub enum Attack {
    /// Joins a room over long polling and reads no answers. Each event in the history has `event` bytes.
    UnreadJoins { event: usize },
    /// Lists 10,000 rooms and reads no list.
    UnreadLists,
    /// Sends pings and reads no pongs, before login or after.
    UnreadPings { login: bool },
    /// Sends long namespaces, which socketioxide echoes, and reads no rejections.
    Namespaces,
    /// Begins 300 messages of 999 KB and does not finish them.
    Messages,
    /// Begins 200 uploads of 999 KB and does not finish them.
    Uploads,
    /// Sends request heads of 14 KB and 380 KB.
    Heads,
    /// Sends requests behind one whose hook takes a minute.
    WaitingRequests,
    /// Triggers events of 500 KB and does not read them.
    UnreadEvents,
    /// 200 clients do not read the events of 900 KB that another one triggers.
    Idlers,
    /// 900 clients do not read the announcements of 400 rooms that others create and delete.
    Announcements,
    /// Triggers stored events whose `meta` has many small values.
    Contexts,
}

/// A finished attack.
pub struct Done {
    /// Number of bytes that the clients sent.
    pub sent: usize,
    /// The open connections.
    _held: Box<dyn Any + Send>,
}

impl Done {
    fn new(sent: usize, held: impl Any + Send) -> Self {
        Self { sent, _held: Box::new(held) }
    }
}

impl Attack {
    pub const ALL: [Self; 14] = [
        Self::UnreadJoins { event: 2_500 },
        Self::UnreadJoins { event: 240_000 },
        Self::UnreadLists,
        Self::UnreadPings { login: false },
        Self::UnreadPings { login: true },
        Self::Namespaces,
        Self::Messages,
        Self::Uploads,
        Self::Heads,
        Self::WaitingRequests,
        Self::UnreadEvents,
        Self::Idlers,
        Self::Announcements,
        Self::Contexts,
    ];

    /// Creates the rooms and events that the attack needs.
    pub async fn prepare(self, site: Site) {
        match self {
            Self::UnreadJoins { event } => site.fill("hall", 100, event).await,
            Self::UnreadLists => site.create_rooms(10_000).await,
            _ => {}
        }
    }

    pub async fn run(self, site: Site) -> Done {
        match self {
            Self::UnreadJoins { .. } => unread_joins(site).await,
            Self::UnreadLists => unread_lists(site).await,
            Self::UnreadPings { login } => unread_pings(site, login).await,
            Self::Namespaces => namespaces(site).await,
            Self::Messages => messages(site).await,
            Self::Uploads => uploads(site).await,
            Self::Heads => heads(site).await,
            Self::WaitingRequests => waiting_requests(site).await,
            Self::UnreadEvents => unread_events(site).await,
            Self::Idlers => idlers(site).await,
            Self::Announcements => announcements(site).await,
            Self::Contexts => contexts(site).await,
        }
    }
}

async fn unread_joins(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..10 {
        let poller = Poller::connect(site.address, &format!("reader{n}")).await;
        let join = |id| request("dialogue:join", id, &json!({ "roomId": "hall" }));
        let joins: Vec<_> = (0..100).map(join).collect();
        sent += poller.post(&joins.join("\u{1e}")).await;
        pollers.push(poller);
    }
    Done::new(sent, pollers)
}

async fn unread_lists(site: Site) -> Done {
    let mut attacker = Attacker::connect(site.address, "reader").await;
    let mut sent = 0;
    for id in 0..200 {
        sent += attacker.send(&request("dialogue:listRooms", id, &json!(null))).await;
    }
    Done::new(sent, attacker)
}

async fn unread_pings(site: Site, login: bool) -> Done {
    let mut attacker = if login {
        Attacker::connect(site.address, "pinger").await
    } else {
        Attacker::open(site.address).await
    };
    let pings = frame(9, &[b'p'; 125]).repeat(100);
    let sent = attacker.flood(&pings, 100_000_000, Duration::from_secs(3)).await;
    Done::new(sent, attacker)
}

async fn namespaces(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for _ in 0..20 {
        let mut attacker = Attacker::open(site.address).await;
        let connect = frame(1, format!("40/{},", "n".repeat(900_000)).as_bytes());
        sent += attacker.flood(&connect, 20_000_000, Duration::from_millis(300)).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn messages(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..300 {
        let mut attacker = Attacker::connect(site.address, &format!("slow{n}")).await;
        let frame = frame(1, &vec![b'x'; 999_000]);
        sent += attacker.flood(&frame[..900_000], 900_000, Duration::from_secs(2)).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn uploads(site: Site) -> Done {
    let (mut sent, mut uploads) = (0, Vec::new());
    for n in 0..200 {
        let poller = Poller::connect(site.address, &format!("slow{n}")).await;
        uploads.push(poller.begin_upload(999_000, 900_000).await);
        sent += 900_000;
    }
    Done::new(sent, uploads)
}

async fn heads(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..100 {
        let padding = "x".repeat(if n % 2 == 0 { 380_000 } else { 14_000 });
        let (bytes, attacker) = Attacker::with_head(site.address, &padding).await;
        sent += bytes;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn waiting_requests(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..40 {
        let mut attacker = Attacker::connect(site.address, &format!("waiter{n}")).await;
        attacker.join("hall").await;
        // The hook of `slow` takes a minute: all later requests wait.
        let slow = json!({ "roomId": "hall", "event": "slow", "data": null });
        attacker.send(&request("dialogue:trigger", 1, &slow)).await;
        let waits = frame(1, event("dialogue:unheard-of", &json!("x".repeat(50))).as_bytes());
        sent += attacker.flood(&waits.repeat(100), 12_000_000, Duration::from_millis(500)).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn unread_events(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..100 {
        let room = format!("own:{n}");
        let mut attacker = Attacker::connect(site.address, &format!("talker{n}")).await;
        attacker.join(&room).await;
        let blink = frame(1, blink(&room, 500_000).as_bytes());
        sent += attacker.flood(&blink, 12_000_000, Duration::from_millis(300)).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn idlers(site: Site) -> Done {
    let mut attackers = Vec::new();
    for n in 0..200 {
        let mut attacker = Attacker::connect(site.address, &format!("idler{n}")).await;
        attacker.join("hall").await;
        attackers.push(attacker);
    }
    let mut talker = Attacker::connect(site.address, "talker").await;
    talker.join("hall").await;
    let mut sent = 0;
    for _ in 0..20 {
        sent += talker.send(&blink("hall", 900_000)).await;
        talker.read_some().await;
    }
    Done::new(sent, (attackers, talker))
}

async fn announcements(site: Site) -> Done {
    let mut attackers = Vec::new();
    for n in 0..900 {
        attackers.push(Attacker::connect(site.address, &format!("idler{n}")).await);
    }
    let mut sent = 0;
    for n in 0..20 {
        let mut creator = Attacker::connect(site.address, &format!("creator{n}")).await;
        for room in 0..20 {
            let id = format!("room-{n}-{room}");
            // The longest name and description that the server accepts.
            let (name, description) = ("n".repeat(256), "d".repeat(2_048));
            let create = json!({ "id": id, "name": name, "description": description });
            sent += creator.send(&request("dialogue:createRoom", 1, &create)).await;
            sent +=
                creator.send(&request("dialogue:deleteRoom", 2, &json!({ "roomId": id }))).await;
            creator.read_some().await;
        }
        attackers.push(creator);
    }
    Done::new(sent, attackers)
}

async fn contexts(site: Site) -> Done {
    let mut attacker = Attacker::connect(site.address, "talker").await;
    attacker.join("hall").await;
    let entries: Vec<_> = (0..60).map(|n| format!(r#""k{n}":[0,[1,[2]],{{}},[]]"#)).collect();
    let meta = format!("{{{}}}", entries.join(","));
    let mut sent = 0;
    for id in 0..7_000 {
        let trigger = format!(
            r#"42{id}["dialogue:trigger",{{"roomId":"hall","event":"note","data":{{"text":""}},"meta":{meta}}}]"#
        );
        sent += attacker.send(&trigger).await;
        attacker.read_some().await;
    }
    Done::new(sent, attacker)
}

/// A trigger of an ephemeral event with a text of `size` bytes, without acknowledgement.
pub fn blink(room: &str, size: usize) -> String {
    let data = json!({ "roomId": room, "event": "blink", "data": { "text": "x".repeat(size) } });
    event("dialogue:trigger", &data)
}
