//! A TCP proxy that makes trouble.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

pub struct Proxy {
    address: SocketAddr,
    wires: Wires,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Wires {
    target: watch::Sender<SocketAddr>,
    /// Counts how often all connections were cut.
    cuts: watch::Sender<u64>,
    stalled: watch::Sender<bool>,
    /// Whether nothing of what the server says is passed on.
    hushed: watch::Sender<bool>,
    /// Whether anybody gets through at all.
    open: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
    /// How many bytes of the server a connection passes on in a second, if that is bounded.
    pace: watch::Sender<Option<usize>>,
    /// What the server is not heard saying, once: the connection is cut instead.
    unheard: Arc<Mutex<Option<&'static str>>>,
    /// What the server says in other words of the same length.
    instead: Arc<Mutex<Vec<Instead>>>,
    /// How often the server says something.
    counts: Arc<Mutex<Vec<Count>>>,
}

/// What names the room of an event, and what names none, in as many letters.
const ROOM: &str = "\"roomId\":\"square\"";
const ELSEWHERE: &str = "\"roomId\":\"nowher\"";

struct Count {
    words: &'static str,
    times: watch::Sender<usize>,
}

struct Instead {
    words: &'static str,
    by: &'static str,
    once: bool,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let wires = Wires {
            target: watch::Sender::new(target),
            cuts: watch::Sender::new(0),
            stalled: watch::Sender::new(false),
            hushed: watch::Sender::new(false),
            open: watch::Sender::new(true),
            delay: watch::Sender::new(Duration::ZERO),
            pace: watch::Sender::new(None),
            unheard: Arc::default(),
            instead: Arc::default(),
            counts: Arc::default(),
        };
        let accepting = tokio::spawn(accept(tcp, wires.clone()));
        Self { address, wires, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub fn lead_to(&self, target: SocketAddr) {
        self.wires.target.send_replace(target);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.wires.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections, and lets nobody through until [`Proxy::open`].
    pub fn close(&self) {
        self.wires.open.send_replace(false);
        self.cut();
    }

    pub fn open(&self) {
        self.wires.open.send_replace(true);
    }

    /// Passes nothing on any more, and cuts nothing; or does again.
    pub fn stall(&self, stalled: bool) {
        self.wires.stalled.send_replace(stalled);
    }

    /// Keeps back what the server says, and passes on what it is told; or does no longer.
    pub fn hush(&self, hushed: bool) {
        self.wires.hushed.send_replace(hushed);
    }

    /// Counts how often the server says something, from now on.
    pub fn count(&self, words: &'static str) -> watch::Receiver<usize> {
        let (times, count) = watch::channel(0);
        self.wires.counts.lock().unwrap().push(Count { words, times });
        count
    }

    pub fn delay(&self, delay: Duration) {
        self.wires.delay.send_replace(delay);
    }

    /// Limits what the server sends to `bytes` a second.
    pub fn pace(&self, bytes: usize) {
        self.wires.pace.send_replace(Some(bytes));
    }

    /// Cuts a connection instead of passing on what contains this, once.
    pub fn cut_instead_of(&self, words: &'static str) {
        *self.wires.unheard.lock().unwrap() = Some(words);
    }

    /// Whether [`Proxy::cut_instead_of`] has happened.
    pub fn has_cut(&self) -> bool {
        self.wires.unheard.lock().unwrap().is_none()
    }

    /// Has the server say something else, of the same length.
    pub fn replace(&self, words: &'static str, by: &'static str) {
        self.instead(Instead { words, by, once: false });
    }

    /// Loses what the server says next that contains this: by its sound, it is about another room.
    pub fn lose(&self, words: &'static str) {
        assert!(words.starts_with(ROOM));
        self.instead(Instead { words, by: ELSEWHERE, once: true });
    }

    fn instead(&self, instead: Instead) {
        assert!(instead.words.len() >= instead.by.len());
        self.wires.instead.lock().unwrap().push(instead);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(tcp: TcpListener, wires: Wires) {
    loop {
        let (client, _) = tcp.accept().await.unwrap();
        let target = *wires.target.borrow();
        if !*wires.open.borrow() {
            continue;
        }
        let mut cuts = wires.cuts.subscribe();
        let wires = wires.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                _ = cuts.changed() => {}
                () = pass(from_client, to_server, &wires, false) => {}
                () = pass(from_server, to_client, &wires, true) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wires: &Wires, by_server: bool) {
    let mut stalled = wires.stalled.subscribe();
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let bytes = &mut buffer[..length];
        let delay = *wires.delay.borrow();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if stalled.wait_for(|stalled| !stalled).await.is_err() {
            return;
        }
        if by_server {
            if wires.hushed.subscribe().wait_for(|hushed| !hushed).await.is_err() {
                return;
            }
            for Count { words, times } in &*wires.counts.lock().unwrap() {
                let here = bytes.windows(words.len()).filter(|it| *it == words.as_bytes()).count();
                times.send_modify(|times| *times += here);
            }
            let mut unheard = wires.unheard.lock().unwrap();
            if unheard.is_some_and(|words| find(bytes, words).is_some()) {
                *unheard = None;
                return;
            }
            drop(unheard);
            wires.instead.lock().unwrap().retain(|Instead { words, by, once }| {
                let found = find(bytes, words);
                if let Some(at) = found {
                    bytes[at..at + by.len()].copy_from_slice(by.as_bytes());
                }
                !once || found.is_none()
            });
        }
        let pace = wires.pace.borrow().filter(|_| by_server);
        let Some(pace) = pace else {
            if to.write_all(bytes).await.is_err() {
                return;
            }
            continue;
        };
        for piece in bytes.chunks(pace.div_ceil(50)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if to.write_all(piece).await.is_err() {
                return;
            }
        }
    }
}

fn find(bytes: &[u8], words: &str) -> Option<usize> {
    bytes.windows(words.len()).position(|window| window == words.as_bytes())
}
