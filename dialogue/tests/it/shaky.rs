//! A store that fails when it is told to, and counts what it is asked.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use dialogue::{
    Epoch, RawMessage,
    store::{
        Appended, Batch, Created, Head, Key, KeyUse, LogId, Memory, NewEvent, Page, Part, Query,
        Store, StoreError, Stored,
    },
};
use tokio::sync::watch;

/// Memory that takes its time, like a database.
#[derive(Clone)]
pub struct Shaky(Arc<Inner>);

struct Inner {
    memory: Memory,
    /// Calls fail before they do anything.
    pub down: AtomicBool,
    /// Appends and creations fail after they were done.
    pub deaf: AtomicBool,
    /// Heads and parts cannot be read.
    blind: AtomicBool,
    panics: AtomicBool,
    open: watch::Sender<bool>,
    /// The room whose appends wait.
    held: watch::Sender<Option<&'static str>>,
    pub heads: AtomicUsize,
    pub reads: AtomicUsize,
    created: Mutex<Vec<LogId>>,
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
            held: watch::Sender::new(None),
            heads: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            created: Mutex::default(),
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

    /// Has the appends of one room wait, or those of none.
    pub fn hold(&self, room: Option<&'static str>) {
        self.0.held.send_replace(room);
    }

    /// Deletes every log that was created.
    pub async fn lose_created(&self) {
        let created = std::mem::take(&mut *self.0.created.lock().unwrap());
        for log in created {
            self.0.memory.delete(&log).await.unwrap();
        }
    }

    /// Takes a log back: events after `seq` are lost, and their keys. The epoch stays.
    pub async fn take_back(&self, room: &str, seq: u64, names: &[&'static str]) {
        let log = LogId::from(room);
        let epoch = self.0.memory.head(&log).await.unwrap().unwrap().epoch;
        let events = names.iter().map(|&name| name.into()).collect();
        let query = Query { part: Part::After { seq: 0, events }, limit: 1_000, bytes: usize::MAX };
        let kept = self.0.memory.read(&log, &query).await.unwrap().events;
        let kept = kept.iter().filter(|event| event.position.unwrap().seq <= seq);
        let keep = NonZeroUsize::new(1_000).unwrap();
        let new = |event: &Stored| {
            let mut message = RawMessage::clone(event);
            message.position = None;
            NewEvent { message, keep, key: None }
        };
        let events: Vec<_> = kept.map(new).collect();
        assert_eq!(events.len() as u64, seq, "the log has all events up to there");
        self.0.memory.delete(&log).await.unwrap();
        self.0.memory.append(Batch { log, epoch, events }).await.unwrap();
    }

    /// Waits until no log that was created has this room's id.
    pub async fn is_free(&self, room: &str) {
        let of_room = |log: &LogId| &*log.room == room;
        let logs: Vec<_> =
            self.0.created.lock().unwrap().iter().filter(|log| of_room(log)).cloned().collect();
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        for log in logs {
            while self.0.memory.head(&log).await.unwrap().is_some() {
                assert!(tokio::time::Instant::now() < deadline, "{log:?} is still there");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
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
    async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created, StoreError> {
        self.enter().await?;
        let created = self.0.memory.create(log, epoch).await;
        if matches!(created, Ok(Created::Owned)) {
            self.0.created.lock().unwrap().push(log.clone());
        }
        let deaf = self.0.deaf.load(Ordering::SeqCst);
        if deaf { Err(StoreError::new("told to, after all")) } else { created }
    }

    async fn head(&self, log: &LogId) -> Result<Option<Head>, StoreError> {
        self.0.heads.fetch_add(1, Ordering::SeqCst);
        self.enter().await?;
        self.sees()?;
        self.0.memory.head(log).await
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        self.enter().await?;
        let mut held = self.0.held.subscribe();
        held.wait_for(|held| *held != Some(&*batch.log.room)).await.unwrap();
        let appended = self.0.memory.append(batch).await;
        let deaf = self.0.deaf.load(Ordering::SeqCst);
        if deaf { Err(StoreError::new("told to, after all")) } else { appended }
    }

    async fn find(&self, log: &LogId, key: &Key) -> Result<Option<KeyUse>, StoreError> {
        self.enter().await?;
        self.0.memory.find(log, key).await
    }

    async fn read(&self, log: &LogId, query: &Query) -> Result<Page, StoreError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.enter().await?;
        self.sees()?;
        self.0.memory.read(log, query).await
    }

    async fn end_epoch(&self, log: &LogId, ended: Epoch, next: Epoch) -> Result<(), StoreError> {
        self.enter().await?;
        self.0.memory.end_epoch(log, ended, next).await
    }

    async fn delete(&self, log: &LogId) -> Result<(), StoreError> {
        self.enter().await?;
        self.0.memory.delete(log).await
    }
}
