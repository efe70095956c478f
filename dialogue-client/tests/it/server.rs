//! A server in the test's process, and its clients.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use dialogue::{
    Dialogue, Limits,
    store::{Memory, Sqlite},
};
use dialogue_client::{Builder, Client, Reconnect};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};

use crate::{
    app::{Login, Noted, Town},
    proxy::Proxy,
    shaky::Shaky,
};

pub struct Server {
    pub town: Town,
    pub dialogue: Dialogue<Town>,
    pub notes: broadcast::Receiver<Noted>,
    pub proxy: Proxy,
    /// Where the server is, behind the proxy.
    pub address: SocketAddr,
    keeps: Keeps,
    serving: JoinHandle<()>,
}

/// Where a server keeps its logs.
#[derive(Clone)]
enum Keeps {
    InMemory,
    /// In so many bytes of memory.
    InBytes(usize),
    OnFile(PathBuf),
    Shakily(Shaky),
}

impl Server {
    pub async fn start() -> Self {
        Self::with(limits()).await
    }

    pub async fn with(limits: Limits) -> Self {
        Self::new(limits, Keeps::InMemory).await
    }

    /// Keeps its logs in so many bytes of memory.
    pub async fn in_bytes(bytes: usize) -> Self {
        Self::new(limits(), Keeps::InBytes(bytes)).await
    }

    /// Keeps its logs in a file.
    pub async fn on_file(file: &Path) -> Self {
        Self::new(limits(), Keeps::OnFile(file.to_owned())).await
    }

    /// Keeps its logs in what fails when it is told to.
    pub async fn on(store: &Shaky) -> Self {
        Self::new(limits(), Keeps::Shakily(store.clone())).await
    }

    async fn new(limits: Limits, keeps: Keeps) -> Self {
        let town = Town::default();
        let notes = town.notes.subscribe();
        let (dialogue, address, serving) = serve(&town, limits, &keeps).await;
        let proxy = Proxy::to(address).await;
        Self { town, dialogue, notes, proxy, address, keeps, serving }
    }

    /// Replaces the server, and with it everything that it kept in memory, behind the same address.
    pub async fn restart(&mut self) {
        self.restart_with(limits()).await;
    }

    pub async fn restart_with(&mut self, limits: Limits) {
        self.serving.abort();
        let (dialogue, address, serving) = serve(&self.town, limits, &self.keeps).await;
        (self.dialogue, self.address, self.serving) = (dialogue, address, serving);
        self.proxy.lead_to(address);
        self.proxy.cut();
    }

    pub fn client(&self, user: &str) -> Builder {
        let user = user.to_owned();
        Client::builder(self.proxy.url()).reconnect(swiftly()).auth(move || {
            let user = user.clone();
            async move { Login { user, lasts: None } }
        })
    }

    pub async fn connect(&self, user: &str) -> Client {
        self.client(user).connect().await.unwrap()
    }

    /// Waits until something is noted.
    pub async fn noted(&mut self, wanted: &Noted) {
        soon(async { while self.notes.recv().await.unwrap() != *wanted {} }).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    town: &Town,
    limits: Limits,
    keeps: &Keeps,
) -> (Dialogue<Town>, SocketAddr, JoinHandle<()>) {
    let builder = Dialogue::builder(town.clone()).limits(limits);
    let builder = match keeps {
        Keeps::InMemory => builder.store(Memory::new()),
        Keeps::InBytes(bytes) => builder.store(Memory::new().bytes(*bytes)),
        Keeps::OnFile(file) => builder.store(Sqlite::open(file).await.unwrap()),
        Keeps::Shakily(store) => builder.store(store.clone()),
    };
    let dialogue = builder.build().await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let served = dialogue.clone();
    let serving = tokio::spawn(async move {
        served.serve_on(tcp, axum::Router::new()).await.unwrap();
    });
    (dialogue, address, serving)
}

/// The default limits, except on how often.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.triggers, limits.requests, limits.history) = (None, None, None);
    (limits.creations, limits.connects, limits.joins) = (None, None, None);
    (limits.connects_per_address, limits.connects_in_all) = (None, None);
    (limits.triggers_per_address, limits.triggers_in_all) = (None, None);
    (limits.answers, limits.answers_per_address) = (None, None);
    (limits.incoming, limits.incoming_per_address) = (None, None);
    limits.creations_per_address = None;
    limits
}

pub fn swiftly() -> Reconnect {
    Reconnect::default().delay(Duration::from_millis(10), Duration::from_millis(50))
}

/// What does not take long.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens soon")
}

/// Connects without the proxy.
pub async fn connect_past(server: &Server, user: &'static str) -> Client {
    let login = move || async move { Login { user: user.into(), lasts: None } };
    Client::builder(format!("ws://{}", server.address)).auth(login).connect().await.unwrap()
}
