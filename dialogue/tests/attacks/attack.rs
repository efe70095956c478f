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
    /// 760 polling clients ask for a page of history of 240 KB and read no answer.
    Histories,
    /// 900 polling clients send 128 small requests each and read no answer.
    SmallAnswers,
    /// 22 clients that read nothing join with long lists of subscriptions.
    LongSubscribes,
    /// 15 clients trigger events with 100,000 invalid parts and read no answer.
    Issues,
    /// 850 clients join 100 rooms each, which have logs.
    Memberships,
    /// 100 clients subscribe to 100 long event names in each of 100 rooms.
    Subscriptions,
    /// 960 idle connections with long heads and unfinished messages, and unfinished fragments of 980 KB.
    Fragments,
    /// 200 clients flood the server with heartbeats.
    Heartbeats,
    /// Triggers stored events whose `meta` has many small values.
    Contexts,
    /// 100 clients send one message of 980 KB each, or 50 one to an unknown namespace and another one, and little
    /// after it.
    LargeMessages { namespace: bool },
    /// 120 polling clients end their sessions before they read the event of 900 KB that they polled for.
    ClosedPolls,
    /// 40 clients join 96 rooms each with 100 long names, and unsubscribe.
    Unsubscribes,
    /// 12 clients trigger events of 950 KB, for which a handler takes two seconds.
    Jobs,
    /// 960 clients that read nothing use up the memory of their address, and send long namespaces.
    NamespacesOverBudget,
    /// 2,500 connections that were answered begin another request, with 14 KB of its head.
    NextRequests,
    /// 900 polling clients have a poll and two uploads each, with heads of 14 KB, and do not finish the uploads.
    SessionRequests,
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
    pub const ALL: [Self; 30] = [
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
        Self::Histories,
        Self::SmallAnswers,
        Self::LongSubscribes,
        Self::Issues,
        Self::Memberships,
        Self::Subscriptions,
        Self::Fragments,
        Self::Heartbeats,
        Self::Contexts,
        Self::LargeMessages { namespace: false },
        Self::LargeMessages { namespace: true },
        Self::ClosedPolls,
        Self::Unsubscribes,
        Self::Jobs,
        Self::NamespacesOverBudget,
        Self::NextRequests,
        Self::SessionRequests,
    ];

    /// Creates the rooms and events that the attack needs.
    pub async fn prepare(self, site: Site) {
        match self {
            Self::UnreadJoins { event } => site.fill("hall", 100, event).await,
            Self::UnreadLists => site.create_rooms(10_000).await,
            Self::Histories => site.fill("hall", 2, 240_000).await,
            Self::NamespacesOverBudget => site.fill("hall", 100, 2_500).await,
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
            Self::Histories => histories(site).await,
            Self::SmallAnswers => small_answers(site).await,
            Self::LongSubscribes => long_subscribes(site).await,
            Self::Issues => issues(site).await,
            Self::Memberships => memberships(site).await,
            Self::Subscriptions => subscriptions(site).await,
            Self::Fragments => fragments(site).await,
            Self::Heartbeats => heartbeats(site).await,
            Self::Contexts => contexts(site).await,
            Self::LargeMessages { namespace } => large_messages(site, namespace).await,
            Self::ClosedPolls => closed_polls(site).await,
            Self::Unsubscribes => unsubscribes(site).await,
            Self::Jobs => jobs(site).await,
            Self::NamespacesOverBudget => namespaces_over_budget(site).await,
            Self::NextRequests => next_requests(site).await,
            Self::SessionRequests => session_requests(site).await,
        }
    }
}

async fn unread_joins(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..10 {
        let Some(poller) = Poller::connect(site.address, &format!("reader{n}")).await else {
            break;
        };
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
        let Some(poller) = Poller::connect(site.address, &format!("slow{n}")).await else { break };
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

async fn next_requests(site: Site) -> Done {
    let padding = "x".repeat(14_000);
    let first = "GET /dialogue/ready HTTP/1.1\r\nhost: x\r\n\r\n";
    let next = format!("GET / HTTP/1.1\r\nhost: x\r\nx-padding: {padding}");
    let (mut sent, mut attackers) = (0, Vec::new());
    for _ in 0..2_500 {
        let mut attacker = Attacker::bare(site.address).await;
        sent += attacker.write(first).await;
        attacker.read_some().await;
        sent += attacker.write(&next).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn session_requests(site: Site) -> Done {
    let padding = "x".repeat(14_000);
    let (mut sent, mut attackers, mut pollers) = (0, Vec::new(), Vec::new());
    for n in 0..900 {
        let poller = Poller::connect(site.address, &format!("poller{n}")).await;
        pollers.push(poller.expect("there is memory for it"));
    }
    for poller in pollers {
        for (method, length) in [("GET", 0), ("POST", 8_000), ("POST", 8_000)] {
            let head = format!(
                "{method} {} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nx-padding: {padding}\r\n\r\n{}",
                poller.path(),
                "4".repeat(length / 2)
            );
            let mut attacker = Attacker::bare(site.address).await;
            sent += attacker.write(&head).await;
            attackers.push(attacker);
        }
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
        let room = format!("own:{}", 1_000 + n);
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

async fn histories(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..760 {
        let Some(poller) = Poller::connect(site.address, &format!("reader{n}")).await else {
            break;
        };
        let join = json!({ "roomId": "hall", "subscribe": [] });
        sent += poller.post(&request("dialogue:join", 1, &join)).await;
        let page = json!({ "roomId": "hall", "eventName": "note", "start": 0, "end": 1 });
        sent += poller.post(&request("dialogue:getHistory", 2, &page)).await;
        pollers.push(poller);
    }
    Done::new(sent, pollers)
}

async fn small_answers(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..900 {
        let Some(poller) = Poller::connect(site.address, &format!("reader{n}")).await else {
            break;
        };
        let leave = |id| request("dialogue:leave", id, &json!({ "roomId": "x" }));
        let requests: Vec<_> = (0..128).map(leave).collect();
        sent += poller.post(&requests.join("\u{1e}")).await;
        pollers.push(poller);
    }
    Done::new(sent, pollers)
}

async fn long_subscribes(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..22 {
        let Some(poller) = Poller::connect(site.address, &format!("reader{n}")).await else {
            break;
        };
        let leave = |id| request("dialogue:leave", id, &json!({ "roomId": "x" }));
        let answered: Vec<_> = (0..128).map(leave).collect();
        sent += poller.post(&answered.join("\u{1e}")).await;
        let join = json!({ "roomId": "hall", "subscribe": vec!["*"; 245_000] });
        sent += poller.post(&request("dialogue:join", 999, &join)).await;
        pollers.push(poller);
    }
    Done::new(sent, pollers)
}

async fn issues(site: Site) -> Done {
    let (mut sent, mut pollers) = (0, Vec::new());
    for n in 0..15 {
        let Some(poller) = Poller::connect(site.address, &format!("reader{n}")).await else {
            break;
        };
        let room = format!("board:{n}");
        sent += poller.post(&request("dialogue:join", 1, &json!({ "roomId": room }))).await;
        for parts in [19_000, 70_000] {
            let lines = vec![json!({ "text": "" }); parts];
            let order = json!({ "roomId": room, "event": "order", "data": { "lines": lines } });
            sent += poller.post(&request("dialogue:trigger", 2, &order)).await;
        }
        pollers.push(poller);
    }
    Done::new(sent, pollers)
}

async fn memberships(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..850 {
        let mut attacker = Attacker::connect(site.address, &format!("member{n}")).await;
        for room in 0..100 {
            let join = json!({ "roomId": format!("board:{}", 100 * n + room) });
            sent += attacker.send(&request("dialogue:join", room, &join)).await;
        }
        attacker.read_some().await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn subscriptions(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..100 {
        let mut attacker = Attacker::connect(site.address, &format!("member{n}")).await;
        for room in 0..100 {
            let names: Vec<_> = (0..100).map(|name| format!("{name:0>120}")).collect();
            let join = json!({ "roomId": format!("open:{}", 100 * n + room), "subscribe": names });
            sent += attacker.send(&request("dialogue:join", room, &join)).await;
            attacker.read_some().await;
        }
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn fragments(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for _ in 0..960 {
        let (head, mut attacker) = Attacker::with_head(site.address, &"x".repeat(3_600)).await;
        let message = frame(1, &[b'x'; 3_900]);
        sent += head + attacker.flood(&message[..3_800], 3_800, Duration::from_secs(1)).await;
        attackers.push(attacker);
    }
    for n in 0..30 {
        let mut attacker = Attacker::connect(site.address, &format!("slow{n}")).await;
        let mut first = frame(1, &vec![b'x'; 980_000]);
        // It is not the last frame of its message.
        first[0] &= 0x7F;
        let second = &frame(0, &vec![b'x'; 10_000])[..9_000];
        let both = [&first, second].concat();
        sent += attacker.flood(&both, both.len(), Duration::from_secs(1)).await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn heartbeats(site: Site) -> Done {
    let mut attackers = Vec::new();
    for n in 0..200 {
        attackers.push(Attacker::connect(site.address, &format!("beater{n}")).await);
    }
    let beats = frame(1, b"3").repeat(1_000);
    let floods = attackers
        .iter_mut()
        .map(|attacker| attacker.flood(&beats, 100_000_000, Duration::from_secs(3)));
    let sent = futures_util::future::join_all(floods).await.into_iter().sum();
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

async fn large_messages(site: Site, namespace: bool) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    let text = "x".repeat(980_000);
    let large = if namespace {
        format!("42/x,{}", json!(["dialogue:x", text]))
    } else {
        event("dialogue:x", &json!(text))
    };
    // The buffer of the first message is too small for it.
    let larger = event("dialogue:x", &json!("x".repeat(981_000)));
    for n in 0..if namespace { 50 } else { 100 } {
        let mut attacker = Attacker::connect(site.address, &format!("large{n}")).await;
        sent += attacker.send_for(&large, Duration::from_secs(20)).await;
        if namespace {
            sent += attacker.send_for(&larger, Duration::from_secs(20)).await;
        }
        sent += attacker.send("3").await;
        attacker.read_some().await;
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn closed_polls(site: Site) -> Done {
    let mut talker = Attacker::connect(site.address, "talker").await;
    let join = json!({ "roomId": "own:2000", "subscribe": [] });
    talker.send(&request("dialogue:join", 1, &join)).await;
    let (mut sent, mut polls) = (0, Vec::new());
    for round in 0..4 {
        let mut pollers = Vec::new();
        for n in 0..30 {
            let user = format!("poller{}", 30 * round + n);
            let Some(poller) = Poller::connect(site.address, &user).await else { break };
            let join = json!({ "roomId": "own:2000" });
            sent += poller.post(&request("dialogue:join", 1, &join)).await;
            poller.poll().await;
            pollers.push(poller);
        }
        sent += talker.send(&blink("own:2000", 900_000)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        for poller in &pollers {
            polls.push(poller.begin_poll().await);
        }
        for poller in &pollers {
            sent += poller.post("1").await;
        }
        talker.read_some().await;
    }
    Done::new(sent, (talker, polls))
}

async fn unsubscribes(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    let names: Vec<_> = (0..100).map(|name| format!("{name:0>124}")).collect();
    for n in 0..40 {
        let mut attacker = Attacker::connect(site.address, &format!("member{n}")).await;
        for room in 0..96 {
            let room = format!("open:{}", 100 * n + room);
            let join = json!({ "roomId": room, "subscribe": names });
            sent += attacker.send(&request("dialogue:join", 1, &join)).await;
            let all = json!({ "roomId": room, "eventName": "*" });
            sent += attacker.send(&request("dialogue:unsubscribe", 2, &all)).await;
            attacker.read_some().await;
        }
        attackers.push(attacker);
    }
    Done::new(sent, attackers)
}

async fn jobs(site: Site) -> Done {
    let mut attackers = Vec::new();
    for n in 0..12 {
        let mut attacker = Attacker::connect(site.address, &format!("worker{n}")).await;
        attacker.join("job:1").await;
        attackers.push(attacker);
    }
    let blink = frame(1, blink("job:1", 950_000).as_bytes());
    let floods = attackers
        .iter_mut()
        .map(|attacker| attacker.flood(&blink, 100_000_000, Duration::from_secs(10)));
    let sent = futures_util::future::join_all(floods).await.into_iter().sum();
    Done::new(sent, attackers)
}

async fn namespaces_over_budget(site: Site) -> Done {
    let (mut sent, mut attackers) = (0, Vec::new());
    for n in 0..960 {
        let mut attacker = Attacker::connect(site.address, &format!("reader{n}")).await;
        let join = request("dialogue:join", 1, &json!({ "roomId": "hall" }));
        sent += attacker.send(&join).await;
        attackers.push(attacker);
    }
    let connect = frame(1, format!("40/{},", "n".repeat(250)).as_bytes()).repeat(240);
    for attacker in &mut attackers {
        sent += attacker.flood(&connect, connect.len(), Duration::from_millis(20)).await;
    }
    Done::new(sent, attackers)
}

/// A trigger of an ephemeral event with a text of `size` bytes, without acknowledgement.
pub fn blink(room: &str, size: usize) -> String {
    let data = json!({ "roomId": room, "event": "blink", "data": { "text": "x".repeat(size) } });
    event("dialogue:trigger", &data)
}
