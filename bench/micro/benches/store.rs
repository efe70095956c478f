//! What each store costs by itself.
//!
//! `cargo bench --package bench-micro --bench store --all-features`; with `DIALOGUE_TEST_POSTGRES` set, a database
//! server too.
#![allow(missing_docs)]

use std::{num::NonZeroUsize, sync::Arc};

use dialogue::{
    Epoch, RawMessage,
    store::{Batch, Key, Memory, NewEvent, Part, Query, Store},
};
use divan::{AllocProfiler, Bencher};
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn text() -> String {
    "x".repeat(160)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn batch(room: &Arc<str>, data: &RawValue, events: usize, key: Option<u64>) -> Batch {
    let event = |n: usize| {
        let message = RawMessage::new("stored", room.clone(), data.to_owned());
        let text = key.map(|key| format!("{key}-{n}"));
        let key = text.map(|text| Key { user: "ann".into(), text: text.into(), digest: [0; 16] });
        NewEvent { message, keep: NonZeroUsize::new(100).unwrap(), key }
    };
    let events = (0..events).map(event).collect();
    Batch { log: room.clone().into(), epoch: Epoch::random(), events }
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
    bencher.bench_local(|| runtime.block_on(store.read(&room.clone().into(), &query)).unwrap());
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

#[cfg(feature = "sqlite")]
mod sqlite_file {
    use dialogue::store::Sqlite;

    use super::*;

    async fn open() -> Sqlite {
        let name = format!("dialogue-bench-{}-{}.db", std::process::id(), Epoch::random());
        Sqlite::open(std::env::temp_dir().join(name)).await.unwrap()
    }

    #[divan::bench(args = [1, 100])]
    fn append(bencher: Bencher<'_, '_>, events: usize) {
        super::append(bencher, events, false, open);
    }

    #[divan::bench(args = [1, 100])]
    fn append_with_keys(bencher: Bencher<'_, '_>, events: usize) {
        super::append(bencher, events, true, open);
    }

    #[divan::bench]
    fn page(bencher: Bencher<'_, '_>) {
        super::page(bencher, open);
    }
}

#[cfg(feature = "postgres")]
mod postgres_server {
    use dialogue::store::Postgres;

    use super::*;

    const URL: &str = "DIALOGUE_TEST_POSTGRES";

    async fn open() -> Postgres {
        Postgres::connect(&std::env::var(URL).unwrap()).await.unwrap()
    }

    fn has_server() -> bool {
        std::env::var(URL).is_ok()
    }

    #[divan::bench(args = [1, 100], ignore = !has_server())]
    fn append(bencher: Bencher<'_, '_>, events: usize) {
        super::append(bencher, events, false, open);
    }

    #[divan::bench(args = [1, 100], ignore = !has_server())]
    fn append_with_keys(bencher: Bencher<'_, '_>, events: usize) {
        super::append(bencher, events, true, open);
    }

    #[divan::bench(ignore = !has_server())]
    fn page(bencher: Bencher<'_, '_>) {
        super::page(bencher, open);
    }
}
