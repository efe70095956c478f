//! Dialogue itself: rooms with an event that is not kept, one that is, and one that hooks see.
//!
//! The argument says where logs are kept: `memory`, the URL of a database server, or a database file.

use std::{
    env,
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::Router;
use dialogue::{
    App, Context, Deny, Dialogue, Event, EventMessage, Handshake, Limits,
    auth::{ClaimedUser, TrustClientUserId},
    store::{Postgres, Sqlite},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use validator::Validate;

/// Not kept.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "tick")]
struct Tick {
    at: u64,
    #[validate(length(min = 1, max = 20_000))]
    text: String,
}

/// Kept.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "message", history = 100)]
struct Message {
    at: u64,
    #[validate(length(min = 1, max = 20_000))]
    text: String,
}

/// Not kept, and seen by hooks.
#[derive(Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "move")]
struct Move {
    at: u64,
    #[validate(length(min = 1, max = 20_000))]
    text: String,
}

#[dialogue::room(
    "room:{n}",
    app = Bench,
    events(Tick, Message, Move),
    sync_history = 50,
)]
mod room {
    use super::*;

    /// One of many.
    #[derive(Clone)]
    pub(super) struct Room {
        pub(super) n: u32,
    }

    #[before]
    fn check(_: &Context<Bench, Room>, event: &mut Move) -> Result<(), Deny> {
        if event.text.trim().is_empty() { Err(Deny::new("say something")) } else { Ok(()) }
    }

    #[on]
    fn count(cx: &Context<Bench, Room>, _: &EventMessage<Move>) {
        cx.app().moves.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Bench {
    moves: AtomicU64,
}

#[dialogue::app(rooms(room))]
impl App for Bench {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // All load comes from one address, as fast as it can.
    let mut limits = Limits::default();
    (limits.triggers, limits.history, limits.joins, limits.requests) = (None, None, None, None);
    limits.connections_per_address = limits.connections;
    (limits.connects_per_address, limits.connects_in_all) = (None, None);
    (limits.triggers_per_address, limits.triggers_in_all) = (None, None);
    (limits.answers, limits.answers_per_address) = (None, None);
    (limits.incoming, limits.incoming_per_address) = (None, None);
    limits.creations_per_address = None;
    limits.address_bytes = limits.total_bytes;
    let server = Dialogue::builder(Bench::default()).limits(limits);
    let server = match &*env::args().nth(1).unwrap_or_else(|| "memory".to_owned()) {
        "memory" => server,
        url if url.starts_with("postgres") => server.store(Postgres::connect(url).await?),
        file => server.store(Sqlite::open(file).await?),
    };
    let server = server.build().await?;
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", tcp.local_addr()?);
    server.serve_on(tcp, Router::new()).await?;
    Ok(())
}
