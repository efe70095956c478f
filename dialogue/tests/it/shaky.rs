//! A store that fails when it is told to, and counts what it is asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dialogue::store::{Appended, Batch, Before, Head, Key, Memory, Page, Query, Store, StoreError};
use tokio::sync::watch;

/// Memory that takes its time, like a database.
#[derive(Clone)]
pub struct Shaky(Arc<Inner>);

struct Inner {
    memory: Memory,
    /// Calls fail before they do anything.
    pub down: AtomicBool,
    /// Appends fail after they were done.
    pub deaf: AtomicBool,
    /// Heads and parts cannot be read.
    blind: AtomicBool,
    panics: AtomicBool,
    open: watch::Sender<bool>,
    pub heads: AtomicUsize,
    pub reads: AtomicUsize,
}

impl Default for Shaky {
    fn default() -> Self {
        Self(Arc::new(Inner {
            memory: Memory::new(),
            down: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            blind: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            open: watch::Sender::new(true),
            heads: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
        }))
    }
}

impl Shaky {
    /// Whether every call fails.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// Whether appends are done and then said to have failed.
    pub fn set_deaf(&self, deaf: bool) {
        self.0.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Whether heads and parts cannot be read.
    pub fn set_blind(&self, blind: bool) {
        self.0.blind.store(blind, Ordering::SeqCst);
    }

    fn sees(&self) -> Result<(), StoreError> {
        let blind = self.0.blind.load(Ordering::SeqCst);
        if blind { Err(StoreError::new("told to be blind")) } else { Ok(()) }
    }

    pub fn set_panics(&self, panics: bool) {
        self.0.panics.store(panics, Ordering::SeqCst);
    }

    /// Whether calls go on, or wait until they may.
    pub fn set_open(&self, open: bool) {
        self.0.open.send_replace(open);
    }

    /// How often heads and parts were read.
    pub fn asked(&self) -> (usize, usize) {
        (self.0.heads.load(Ordering::SeqCst), self.0.reads.load(Ordering::SeqCst))
    }

    async fn enter(&self) -> Result<(), StoreError> {
        // Never at once.
        tokio::task::yield_now().await;
        self.0.open.subscribe().wait_for(|open| *open).await.unwrap();
        assert!(!self.0.panics.load(Ordering::SeqCst), "told to");
        if self.0.down.load(Ordering::SeqCst) { Err(StoreError::new("told to")) } else { Ok(()) }
    }
}

impl Store for Shaky {
    async fn head(&self, room: &str) -> Result<Option<Head>, StoreError> {
        self.0.heads.fetch_add(1, Ordering::SeqCst);
        self.enter().await?;
        self.sees()?;
        self.0.memory.head(room).await
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        self.enter().await?;
        let appended = self.0.memory.append(batch).await;
        let deaf = self.0.deaf.load(Ordering::SeqCst);
        if deaf { Err(StoreError::new("told to, after all")) } else { appended }
    }

    async fn find(&self, room: &str, key: &Key) -> Result<Option<Before>, StoreError> {
        self.enter().await?;
        self.0.memory.find(room, key).await
    }

    async fn read(&self, room: &str, query: &Query) -> Result<Page, StoreError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.enter().await?;
        self.sees()?;
        self.0.memory.read(room, query).await
    }

    async fn delete(&self, room: &str) -> Result<(), StoreError> {
        self.enter().await?;
        self.0.memory.delete(room).await
    }
}
