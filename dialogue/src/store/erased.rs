//! Any store: a [`Store`] whose type is forgotten, whose calls end in time and do not panic.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    Appended, Archive, Batch, Created, Head, Key, KeyUse, LogId, Page, Query, Store, StoreError,
};
use crate::Epoch;

/// A [`Store`] as an object.
trait Calls: Send + Sync {
    fn create<'a>(&'a self, log: &'a LogId, epoch: Epoch) -> Called<'a, Created>;
    fn head<'a>(&'a self, log: &'a LogId) -> Called<'a, Option<Head>>;
    fn begin<'a>(&'a self, log: &'a LogId, epoch: Epoch) -> Called<'a, Head>;
    fn is_shared(&self) -> bool;
    fn append(&self, batch: Batch) -> Called<'_, Vec<Appended>>;
    fn find<'a>(&'a self, log: &'a LogId, key: &'a Key) -> Called<'a, Option<KeyUse>>;
    fn read<'a>(&'a self, log: &'a LogId, query: &'a Query) -> Called<'a, Page>;
    fn end_epoch<'a>(&'a self, log: &'a LogId, ended: Epoch, next: Epoch) -> Called<'a, ()>;
    fn delete<'a>(&'a self, log: &'a LogId) -> Called<'a, ()>;
    fn release(&self, log: &LogId);
    fn attach(&self, archive: Archive);
    fn ready(&self) -> Result<(), StoreError>;
    fn close(&self) -> BoxFuture<'_, ()>;
    fn in_memory(&self) -> usize;
}

type Called<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl<S: Store> Calls for S {
    fn create<'a>(&'a self, log: &'a LogId, epoch: Epoch) -> Called<'a, Created> {
        Box::pin(Store::create(self, log, epoch))
    }

    fn head<'a>(&'a self, log: &'a LogId) -> Called<'a, Option<Head>> {
        Box::pin(Store::head(self, log))
    }

    fn begin<'a>(&'a self, log: &'a LogId, epoch: Epoch) -> Called<'a, Head> {
        Box::pin(Store::begin(self, log, epoch))
    }

    fn is_shared(&self) -> bool {
        Store::is_shared(self)
    }

    fn append(&self, batch: Batch) -> Called<'_, Vec<Appended>> {
        Box::pin(Store::append(self, batch))
    }

    fn find<'a>(&'a self, log: &'a LogId, key: &'a Key) -> Called<'a, Option<KeyUse>> {
        Box::pin(Store::find(self, log, key))
    }

    fn read<'a>(&'a self, log: &'a LogId, query: &'a Query) -> Called<'a, Page> {
        Box::pin(Store::read(self, log, query))
    }

    fn end_epoch<'a>(&'a self, log: &'a LogId, ended: Epoch, next: Epoch) -> Called<'a, ()> {
        Box::pin(Store::end_epoch(self, log, ended, next))
    }

    fn delete<'a>(&'a self, log: &'a LogId) -> Called<'a, ()> {
        Box::pin(Store::delete(self, log))
    }

    fn release(&self, log: &LogId) {
        Store::release(self, log);
    }

    fn attach(&self, archive: Archive) {
        Store::attach(self, archive);
    }

    fn ready(&self) -> Result<(), StoreError> {
        Store::ready(self)
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

/// Why events were not appended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unappended {
    Unavailable,
    /// The log is not the room's: it was deleted, or the id is another creation's.
    NotOwned,
}

impl From<Unavailable> for Unappended {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl AnyStore {
    pub(crate) fn new(store: impl Store, time: Duration) -> Self {
        Self { store: Box::new(store), time, closed: AtomicBool::new(false) }
    }

    pub(crate) async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created, Unavailable> {
        self.call("create", log, self.store.create(log, epoch)).await
    }

    pub(crate) async fn head(&self, log: &LogId) -> Result<Option<Head>, Unavailable> {
        self.call("head", log, self.store.head(log)).await
    }

    pub(crate) async fn begin(&self, log: &LogId, epoch: Epoch) -> Result<Head, Unavailable> {
        self.call("begin", log, self.store.begin(log, epoch)).await
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    pub(crate) async fn append(&self, batch: Batch) -> Result<Vec<Appended>, Unappended> {
        let (log, count) = (batch.log.clone(), batch.events.len());
        let appended = self.run("append", &log, self.store.append(batch)).await;
        let appended = appended.map_err(|error| match error {
            Some(error) if error.is_not_owned() => Unappended::NotOwned,
            _ => Unappended::Unavailable,
        })?;
        if appended.len() == count {
            return Ok(appended);
        }
        tracing::error!(room = ?log.room, "the store did not say what became of each event");
        Err(Unappended::Unavailable)
    }

    pub(crate) async fn find(&self, log: &LogId, key: &Key) -> Result<Option<KeyUse>, Unavailable> {
        self.call("find", log, self.store.find(log, key)).await
    }

    pub(crate) async fn read(&self, log: &LogId, query: &Query) -> Result<Page, Unavailable> {
        self.call("read", log, self.store.read(log, query)).await
    }

    pub(crate) async fn end_epoch(
        &self,
        log: &LogId,
        ended: Epoch,
        next: Epoch,
    ) -> Result<(), Unavailable> {
        self.call("end_epoch", log, self.store.end_epoch(log, ended, next)).await
    }

    pub(crate) async fn delete(&self, log: &LogId) -> Result<(), Unavailable> {
        self.call("delete", log, self.store.delete(log)).await
    }

    pub(crate) fn release(&self, log: &LogId) {
        Self::guarded("release", || self.store.release(log));
    }

    pub(crate) fn attach(&self, archive: Archive) {
        Self::guarded("attach", || self.store.attach(archive));
    }

    /// Whether events can be appended at the moment.
    pub(crate) fn is_ready(&self) -> bool {
        let ready = std::panic::catch_unwind(AssertUnwindSafe(|| self.store.ready()));
        match ready {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store is not ready");
                false
            }
            Err(_) => {
                tracing::error!(call = "ready", "the store panicked");
                false
            }
        }
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
        log: &LogId,
        called: Called<'_, T>,
    ) -> Result<T, Unavailable> {
        self.run(call, log, called).await.map_err(|_| Unavailable)
    }

    /// Fails with what the store says, if it says something.
    async fn run<T>(
        &self,
        call: &'static str,
        log: &LogId,
        called: Called<'_, T>,
    ) -> Result<T, Option<StoreError>> {
        let room = &log.room;
        if self.closed.load(Ordering::Acquire) {
            tracing::warn!(call, ?room, "the store is closed");
            return Err(None);
        }
        let called = AssertUnwindSafe(called).catch_unwind();
        match tokio::time::timeout(self.time, called).await {
            Ok(Ok(Ok(done))) => return Ok(done),
            Ok(Ok(Err(error))) if error.is_not_owned() => {
                tracing::warn!(call, ?room, "the room has lost its log");
                return Err(Some(error));
            }
            Ok(Ok(Err(error))) => {
                tracing::error!(call, ?room, %error, "the store failed");
                return Err(Some(error));
            }
            Ok(Err(_)) => tracing::error!(call, ?room, "the store panicked"),
            Err(_) => tracing::error!(call, ?room, limit = ?self.time, "the store took too long"),
        }
        Err(None)
    }
}
