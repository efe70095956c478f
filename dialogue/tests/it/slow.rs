//! Clients that read slowly, or not at all, through a relay.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use dialogue::{AnyRoom, EventConfig, Limits, RoomConfig};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    app::Test,
    peer::{Incoming, Peer},
    server::{Server, unpaced},
};

/// How long a client reads slowly: longer than the transport waits for the answer to a heartbeat.
const SLOW: Duration = Duration::from_secs(48);
/// A receive buffer that fills at once, and one that takes everything.
const BUFFERS: [u32; 2] = [4_096, 4_000_000];

/// Passes on what the server sends, so many bytes in a second, and what the client sends at once.
async fn relay(server: SocketAddr, buffer: u32, rate: watch::Receiver<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        client.set_nodelay(true).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        let server = socket.connect(server).await.unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from_server, mut to_server) = server.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        let mut bytes = vec![0; 65_536];
        loop {
            let most = *rate.borrow() / 10;
            if most < bytes.len() {
                sleep(Duration::from_millis(100)).await;
            }
            if most == 0 {
                continue;
            }
            let most = most.min(bytes.len());
            match from_server.read(&mut bytes[..most]).await {
                Ok(read @ 1..) if to_client.write_all(&bytes[..read]).await.is_ok() => {}
                _ => break,
            }
        }
    });
    address
}

async fn start(limits: Limits) -> (Server<Test>, AnyRoom<Test>) {
    let server = Server::with_limits(Test::default(), limits).await;
    let line = EventConfig::new("line").history(10_000);
    let config = RoomConfig::new("Lines").event_with(line);
    let room = server.dialogue.create_room("lines", config).await.unwrap();
    (server, room)
}

/// A client in the room, whose relay is fast so far.
async fn join(server: &Server<Test>, buffer: u32) -> (Peer, watch::Sender<usize>) {
    let (rate, rates) = watch::channel(usize::MAX);
    let address = relay(server.address, buffer, rates).await;
    let mut peer = Peer::connect(address, r#"{"userId":"ann"}"#).await.unwrap();
    assert_eq!(peer.join("lines").await["ok"], true);
    (peer, rate)
}

/// Triggers 20,000 bytes a second, until it is dropped.
async fn fill(room: AnyRoom<Test>) {
    let line = "x".repeat(1_000);
    loop {
        room.trigger_raw("line", &line).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
}

async fn reads_slowly(buffer: u32) {
    let (server, room) = start(unpaced()).await;
    let (mut peer, rate) = join(&server, buffer).await;
    rate.send_replace(1_500);
    let filling = tokio::spawn(fill(room));
    let (mut heard, end) = (BTreeSet::new(), Instant::now() + SLOW);
    while Instant::now() < end {
        note(peer.incoming().await, &mut heard);
    }
    filling.abort();
    let _ = filling.await;
    assert_eq!(server.dialogue.stats().connections, 1);

    // It reads on, is told where the log ends, and fetches what it missed.
    let last = server.dialogue.stats().stored as u64;
    assert!((1..last / 2).contains(&(heard.len() as u64)), "{} of {last}", heard.len());
    rate.send_replace(usize::MAX);
    while !heard.contains(&last) && note(peer.incoming().await, &mut heard) != Some(last) {}
    let mut after = 0;
    while (heard.len() as u64) < last {
        let page = json!({ "roomId": "lines", "eventName": "line", "after": after, "limit": 100 });
        let page = peer.ask("dialogue:getHistory", page).await;
        let seqs: Vec<_> = page["events"].as_array().unwrap().iter().map(seq).collect();
        after = *seqs.last().expect("the log goes on");
        heard.extend(seqs);
    }
    assert!(heard.into_iter().eq(1..=last));
}

/// Notes an event. Returns where the log ends, if that is what arrives.
fn note(incoming: Incoming, heard: &mut BTreeSet<u64>) -> Option<u64> {
    match incoming {
        Incoming::Event(name, body) if name == "dialogue:event" => {
            heard.insert(seq(&body));
            None
        }
        Incoming::Event(name, body) if name == "dialogue:position" => Some(seq(&body)),
        Incoming::Event(..) => None,
        other => panic!("{other:?}"),
    }
}

fn seq(event: &Value) -> u64 {
    event["seq"].as_u64().unwrap()
}

#[tokio::test]
async fn client_that_reads_slowly_through_a_small_buffer_stays_and_catches_up() {
    reads_slowly(BUFFERS[0]).await;
}

#[tokio::test]
async fn client_that_reads_slowly_through_a_large_buffer_stays_and_catches_up() {
    reads_slowly(BUFFERS[1]).await;
}

#[tokio::test]
async fn client_that_reads_nothing_is_disconnected_whatever_buffers_hold() {
    for buffer in BUFFERS {
        let mut limits = unpaced();
        limits.write_time = Duration::from_secs(2);
        // The transport's first heartbeat may be among what is not read.
        limits.heartbeat_timeout = Duration::from_secs(2);
        let (server, room) = start(limits).await;
        let (_peer, rate) = join(&server, buffer).await;
        rate.send_replace(0);
        let filling = tokio::spawn(fill(room));
        server.settled(|stats| stats.connections == 0).await;
        filling.abort();
    }
}
