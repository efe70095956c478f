//! What the delivery contract costs: a trigger through the whole path, and each store by itself.
//!
//! `cargo bench --package dialogue --all-features`; with `DIALOGUE_TEST_POSTGRES` set, a database server too.
#![allow(missing_docs)]

use std::{future::IntoFuture, num::NonZeroUsize, sync::Arc};

use dialogue::{
    App, Deny, Dialogue, Epoch, Event, Handshake, RawMessage,
    auth::{ClaimedUser, TrustClientUserId},
    store::{Batch, Key, Memory, NewEvent, Part, Postgres, Query, Sqlite, Store},
};
use divan::{AllocProfiler, Bencher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::{Builder, Runtime};
use validator::Validate;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// 200 bytes on the wire.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(history = 100)]
struct Stored {
    #[validate(length(min = 1, max = 2000))]
    text: String,
    sender_id: String,
}

/// The same without history.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
struct Ephemeral {
    #[validate(length(min = 1, max = 2000))]
    text: String,
    sender_id: String,
}

#[dialogue::room("general", app = Bench, events(Stored, Ephemeral))]
mod general {}

struct Bench;

#[dialogue::app(rooms(general))]
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

fn text() -> String {
    "x".repeat(160)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A trigger in a room that nobody is in, from JSON to the hand-over to subscribers.
mod trigger {
    use super::*;

    fn raw(bencher: Bencher<'_, '_>, event: &str) {
        let runtime = runtime();
        let dialogue = runtime.block_on(Dialogue::builder(Bench).build()).unwrap();
        let room = dialogue.find("general").unwrap();
        let data = to_raw_value(&Ephemeral { text: text(), sender_id: "ann".into() }).unwrap();
        bencher.bench_local(|| {
            let trigger = room.trigger_raw(event, &data).from("ann");
            runtime.block_on(trigger.into_future()).unwrap()
        });
    }

    #[divan::bench]
    fn ephemeral(bencher: Bencher<'_, '_>) {
        raw(bencher, "ephemeral");
    }

    #[divan::bench]
    fn stored(bencher: Bencher<'_, '_>) {
        raw(bencher, "stored");
    }

    #[divan::bench]
    fn stored_with_a_key(bencher: Bencher<'_, '_>) {
        let runtime = runtime();
        let dialogue = runtime.block_on(Dialogue::builder(Bench).build()).unwrap();
        let room = dialogue.find("general").unwrap();
        let data = to_raw_value(&Ephemeral { text: text(), sender_id: "ann".into() }).unwrap();
        let mut n = 0_u64;
        bencher.bench_local(|| {
            n += 1;
            let trigger = room.trigger_raw("stored", &data).from("ann").key(n.to_string());
            runtime.block_on(trigger.into_future()).unwrap()
        });
    }
}

/// Each store by itself.
mod store {
    use super::*;

    fn batch(room: &Arc<str>, data: &RawValue, events: usize, key: Option<u64>) -> Batch {
        let event = |n: usize| {
            let message = RawMessage::new("stored", room.clone(), data.to_owned());
            let text = key.map(|key| format!("{key}-{n}"));
            let key =
                text.map(|text| Key { user: "ann".into(), text: text.into(), digest: [0; 16] });
            NewEvent { message, keep: NonZeroUsize::new(100).unwrap(), key }
        };
        let events = (0..events).map(event).collect();
        Batch { room: room.clone(), epoch: Epoch::random(), events }
    }

    /// So many events at a time, with keys or without.
    fn append<S: Store>(
        bencher: Bencher<'_, '_>,
        events: usize,
        keyed: bool,
        open: impl AsyncFn() -> S,
    ) {
        let runtime = runtime();
        let store = runtime.block_on(open());
        let room: Arc<str> = format!("bench {}", Epoch::random()).into();
        let data = to_raw_value(&text()).unwrap();
        let mut n = 0;
        bencher.counter(divan::counter::ItemsCount::new(events)).bench_local(|| {
            n += 1;
            let batch = batch(&room, &data, events, keyed.then_some(n));
            runtime.block_on(store.append(batch)).unwrap()
        });
    }

    /// A page of fifty, the newest.
    fn page<S: Store>(bencher: Bencher<'_, '_>, open: impl AsyncFn() -> S) {
        let runtime = runtime();
        let store = runtime.block_on(open());
        let room: Arc<str> = format!("bench {}", Epoch::random()).into();
        let data = to_raw_value(&text()).unwrap();
        runtime.block_on(store.append(batch(&room, &data, 100, None))).unwrap();
        let part = Part::Newest { event: "stored".into(), skip: 0 };
        let query = Query { part, limit: 50, bytes: usize::MAX };
        bencher.bench_local(|| runtime.block_on(store.read(&room, &query)).unwrap());
    }

    async fn sqlite() -> Sqlite {
        let name = format!("dialogue-bench-{}-{}.db", std::process::id(), Epoch::random());
        Sqlite::open(std::env::temp_dir().join(name)).await.unwrap()
    }

    async fn postgres() -> Postgres {
        Postgres::connect(&std::env::var("DIALOGUE_TEST_POSTGRES").unwrap()).await.unwrap()
    }

    fn has_postgres() -> bool {
        std::env::var("DIALOGUE_TEST_POSTGRES").is_ok()
    }

    mod memory {
        use super::*;

        #[divan::bench(args = [1, 100])]
        fn append(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, false, async || Memory::new());
        }

        #[divan::bench(args = [1, 100])]
        fn append_with_keys(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, true, async || Memory::new());
        }

        #[divan::bench]
        fn page(bencher: Bencher<'_, '_>) {
            super::page(bencher, async || Memory::new());
        }
    }

    mod sqlite_file {
        use super::*;

        #[divan::bench(args = [1, 100])]
        fn append(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, false, sqlite);
        }

        #[divan::bench(args = [1, 100])]
        fn append_with_keys(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, true, sqlite);
        }

        #[divan::bench]
        fn page(bencher: Bencher<'_, '_>) {
            super::page(bencher, sqlite);
        }
    }

    mod postgres_server {
        use super::*;

        #[divan::bench(args = [1, 100], ignore = !has_postgres())]
        fn append(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, false, postgres);
        }

        #[divan::bench(args = [1, 100], ignore = !has_postgres())]
        fn append_with_keys(bencher: Bencher<'_, '_>, events: usize) {
            super::append(bencher, events, true, postgres);
        }

        #[divan::bench(ignore = !has_postgres())]
        fn page(bencher: Bencher<'_, '_>) {
            super::page(bencher, postgres);
        }
    }
}
