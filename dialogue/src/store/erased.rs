//! Any store: a [`Store`] whose type is forgotten, whose calls end in time and do not panic.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::FutureExt;

use super::{Appended, Archive, Batch, Before, Head, Key, Page, Query, Store, StoreError};
use crate::server::hook::BoxFuture;

/// A [`Store`] as an object.
trait Calls: Send + Sync {
    fn head<'a>(&'a self, room: &'a str) -> Called<'a, Option<Head>>;
    fn append(&self, batch: Batch) -> Called<'_, Vec<Appended>>;
    fn find<'a>(&'a self, room: &'a str, key: &'a Key) -> Called<'a, Option<Before>>;
    fn read<'a>(&'a self, room: &'a str, query: &'a Query) -> Called<'a, Page>;
    fn delete<'a>(&'a self, room: &'a str) -> Called<'a, ()>;
    fn release(&self, room: &str);
    fn attach(&self, archive: Archive);
    fn close(&self) -> BoxFuture<'_, ()>;
    fn in_memory(&self) -> usize;
}

type Called<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl<S: Store> Calls for S {
    fn head<'a>(&'a self, room: &'a str) -> Called<'a, Option<Head>> {
        Box::pin(Store::head(self, room))
    }

    fn append(&self, batch: Batch) -> Called<'_, Vec<Appended>> {
        Box::pin(Store::append(self, batch))
    }

    fn find<'a>(&'a self, room: &'a str, key: &'a Key) -> Called<'a, Option<Before>> {
        Box::pin(Store::find(self, room, key))
    }

    fn read<'a>(&'a self, room: &'a str, query: &'a Query) -> Called<'a, Page> {
        Box::pin(Store::read(self, room, query))
    }

    fn delete<'a>(&'a self, room: &'a str) -> Called<'a, ()> {
        Box::pin(Store::delete(self, room))
    }

    fn release(&self, room: &str) {
        Store::release(self, room);
    }

    fn attach(&self, archive: Archive) {
        Store::attach(self, archive);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Store::close(self))
    }

    fn in_memory(&self) -> usize {
        Store::in_memory(self)
    }
}

/// A server's store.
pub(crate) struct AnyStore {
    store: Box<dyn Calls>,
    time: Duration,
    closed: AtomicBool,
}

/// A call to the store failed; the cause is in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unavailable;

impl AnyStore {
    pub(crate) fn new(store: impl Store, time: Duration) -> Self {
        Self { store: Box::new(store), time, closed: AtomicBool::new(false) }
    }

    pub(crate) async fn head(&self, room: &str) -> Result<Option<Head>, Unavailable> {
        self.call("head", room, self.store.head(room)).await
    }

    pub(crate) async fn append(&self, batch: Batch) -> Result<Vec<Appended>, Unavailable> {
        let (room, count) = (batch.room.clone(), batch.events.len());
        let appended = self.call("append", &room, self.store.append(batch)).await?;
        if appended.len() == count {
            return Ok(appended);
        }
        tracing::error!(?room, "the store did not say what became of each event");
        Err(Unavailable)
    }

    pub(crate) async fn find(&self, room: &str, key: &Key) -> Result<Option<Before>, Unavailable> {
        self.call("find", room, self.store.find(room, key)).await
    }

    pub(crate) async fn read(&self, room: &str, query: &Query) -> Result<Page, Unavailable> {
        self.call("read", room, self.store.read(room, query)).await
    }

    pub(crate) async fn delete(&self, room: &str) -> Result<(), Unavailable> {
        self.call("delete", room, self.store.delete(room)).await
    }

    pub(crate) fn release(&self, room: &str) {
        Self::guarded("release", || self.store.release(room));
    }

    pub(crate) fn attach(&self, archive: Archive) {
        Self::guarded("attach", || self.store.attach(archive));
    }

    fn guarded(call: &'static str, what: impl FnOnce()) {
        if std::panic::catch_unwind(AssertUnwindSafe(what)).is_err() {
            tracing::error!(call, "the store panicked");
        }
    }

    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if AssertUnwindSafe(self.store.close()).catch_unwind().await.is_err() {
            tracing::error!("the store panicked while it was closed");
        }
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.store.in_memory()
    }

    async fn call<T>(
        &self,
        call: &'static str,
        room: &str,
        called: Called<'_, T>,
    ) -> Result<T, Unavailable> {
        if self.closed.load(Ordering::Acquire) {
            tracing::warn!(call, ?room, "the store is closed");
            return Err(Unavailable);
        }
        let called = AssertUnwindSafe(called).catch_unwind();
        match tokio::time::timeout(self.time, called).await {
            Ok(Ok(Ok(done))) => return Ok(done),
            Ok(Ok(Err(error))) => tracing::error!(call, ?room, %error, "the store failed"),
            Ok(Err(_)) => tracing::error!(call, ?room, "the store panicked"),
            Err(_) => tracing::error!(call, ?room, limit = ?self.time, "the store took too long"),
        }
        Err(Unavailable)
    }
}
