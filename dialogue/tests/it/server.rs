//! A server for one test.

use std::net::SocketAddr;

use axum::Router;
use dialogue::{App, Builder, Dialogue, Limits, Stats};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::peer::Peer;

/// The default limits, except on how often: most tests are faster than people.
pub fn unpaced() -> Limits {
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

pub struct Server<A: App> {
    pub dialogue: Dialogue<A>,
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl<A: App> Server<A> {
    pub async fn start(app: A) -> Self {
        Self::with_limits(app, unpaced()).await
    }

    pub async fn with_limits(app: A, limits: Limits) -> Self {
        Self::with_routes(app, limits, Router::new()).await
    }

    pub async fn with_routes(app: A, limits: Limits, routes: Router) -> Self {
        Self::built(Dialogue::builder(app).limits(limits), routes).await
    }

    pub async fn built(builder: Builder<A>, routes: Router) -> Self {
        let dialogue = builder.build().await.unwrap();
        Self::serving(dialogue, routes).await
    }

    pub async fn serving(dialogue: Dialogue<A>, routes: Router) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let served = dialogue.clone();
        let task = tokio::spawn(async move { served.serve_on(tcp, routes).await.unwrap() });
        Self { dialogue, address, task }
    }

    /// Connects as a user.
    pub async fn connect(&self, user: &str) -> Peer {
        Peer::connect(self.address, &format!(r#"{{"userId":"{user}"}}"#)).await.unwrap()
    }

    /// Connects to the app whose sockets are told of the server first.
    pub async fn with_ticket(&self, ticket: &str) -> Peer {
        let mut peer = Peer::reply_only(self.address, ticket).await.unwrap();
        assert_eq!(peer.event().await.0, "server-info");
        peer.greeting().await;
        peer
    }

    /// As [`Server::with_ticket`], for anybody.
    pub async fn guest(&self, user: &str) -> Peer {
        self.with_ticket(&format!(r#"{{"userId":"{user}"}}"#)).await
    }

    /// Connects as a user and joins a room.
    pub async fn join(&self, user: &str, room: &str) -> Peer {
        let mut peer = self.connect(user).await;
        let joined = peer.ask("dialogue:join", serde_json::json!({ "roomId": room })).await;
        assert_eq!(joined["ok"], true, "{joined}");
        peer
    }

    /// Waits until the counts are as expected: what a disconnect causes takes a moment.
    pub async fn settled(&self, expected: impl Fn(&Stats) -> bool) -> Stats {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let stats = self.dialogue.stats();
            if expected(&stats) {
                return stats;
            }
            assert!(tokio::time::Instant::now() < deadline, "still {stats:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl<A: App> Drop for Server<A> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
