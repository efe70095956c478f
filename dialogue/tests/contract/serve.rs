//! The server that is killed and stopped, in a process of its own.

use dialogue::{Builder, Dialogue};

use crate::{
    app::Town,
    process::{Process, command, listen, runs},
    world::limits,
};

/// Which store the server is to use: `memory`, a path, or a URL.
const STORE: &str = "DIALOGUE_CONTRACT_STORE";

/// Starts a server and waits until it listens.
pub async fn start(store: &str) -> Process {
    Process::start(command(&runs("serve::serve")).env(STORE, store)).await
}

/// Not a test: the server that tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that other tests start"]
async fn serve() {
    let Ok(store) = std::env::var(STORE) else { return };
    let mut limits = limits();
    limits.stop_time = std::time::Duration::from_secs(6);
    let town: Builder<Town> = Dialogue::builder(Town::default()).limits(limits);
    let town = if store == "memory" {
        town
    } else if store.contains("://") {
        town.store(dialogue::store::Postgres::connect(&store).await.unwrap())
    } else {
        town.store(dialogue::store::Sqlite::open(&store).await.unwrap())
    };
    let dialogue = town.build().await.unwrap();
    dialogue.serve_on(listen().await, axum::Router::new()).await.unwrap();
}
