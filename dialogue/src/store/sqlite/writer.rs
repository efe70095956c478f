//! The one that writes: whatever waits is done in one transaction, and answered when that is on disk.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, SqliteConnection, query, query_scalar};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::{
    super::{
        Appended, Batch, Created, LogId,
        sql::{Failure, Places, Result, Retention},
    },
    append::Transaction,
    clock::Clock,
    identity::{Files, Sight},
    known::Known,
    opening::{self, Open, Opener},
    state::State,
};
use crate::Epoch;

/// How many jobs may wait; with more, asking waits.
const WAITING: usize = 1_024;
/// How many jobs are done in one transaction.
const MOST_AT_ONCE: usize = 256;
/// How often it is looked whether the file is still there, or can be used again.
const LOOK: Duration = Duration::from_millis(250);
/// For how long another file must not have changed before it is opened: it may be being copied.
const SETTLED: Duration = Duration::from_secs(1);

/// Has its jobs done by a task of its own, which ends with it.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Done, Arc<Failure>>>,
}

pub(super) enum Work {
    Create(LogId, Epoch),
    Append(Batch),
    /// Ends the first epoch; the log goes on in the second.
    EndEpoch(LogId, Epoch, Epoch),
    Delete(LogId),
    Remove(Places),
    /// Forget keys that were used then, or before.
    Forget(i64),
    /// Say that this server is there, and delete logs of others that are not.
    Tend,
    Close,
}

#[derive(Default)]
pub(super) struct Done {
    created: Option<Created>,
    /// None, if the log is another owner's.
    appended: Option<Vec<Appended>>,
    removed: u64,
    /// Whether there may be more logs of servers that are gone.
    orphans: bool,
}

impl Writer {
    pub(super) fn start(
        opener: Opener,
        open: Open,
        state: Arc<State>,
        clock: Arc<Clock>,
        retention: Arc<Retention>,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let server = Epoch::random().to_string();
        let task = Task {
            opener,
            connection: Some(open.connection),
            files: open.files,
            sight: None,
            readers_closed: None,
            state,
            clock,
            known: Known::default(),
            retention,
            server,
            creates: false,
        };
        tokio::spawn(task.run(waiting));
        Self { jobs }
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Appended>> {
        self.work(Work::Append(batch)).await?.appended.ok_or(Failure::NotOwned)
    }

    pub(super) async fn create(&self, log: &LogId, epoch: Epoch) -> Result<Created> {
        let created = self.work(Work::Create(log.clone(), epoch)).await?.created;
        Ok(created.unwrap_or(Created::Exists))
    }

    pub(super) async fn end_epoch(&self, log: &LogId, ended: Epoch, next: Epoch) -> Result<()> {
        self.work(Work::EndEpoch(log.clone(), ended, next)).await.map(drop)
    }

    pub(super) async fn delete(&self, log: &LogId) -> Result<()> {
        self.work(Work::Delete(log.clone())).await.map(drop)
    }

    pub(super) async fn tend(&self) -> Result<bool> {
        Ok(self.work(Work::Tend).await?.orphans)
    }

    pub(super) async fn remove(&self, places: Places) -> Result<u64> {
        Ok(self.work(Work::Remove(places)).await?.removed)
    }

    pub(super) async fn forget(&self, keys: i64) -> Result<u64> {
        Ok(self.work(Work::Forget(keys)).await?.removed)
    }

    /// Returns when everything before it is done, and the file is closed.
    pub(super) async fn close(&self) {
        let _ = self.work(Work::Close).await;
        self.jobs.closed().await;
    }

    async fn work(&self, work: Work) -> Result<Done> {
        let (reply, done) = oneshot::channel();
        self.jobs.send(Job { work, reply }).await.map_err(|_| Failure::Closed)?;
        Ok(done.await.map_err(|_| Failure::Closed)??)
    }
}

struct Task {
    opener: Opener,
    /// None after a failure, which may have left it in the middle of something.
    connection: Option<SqliteConnection>,
    /// Those that are open, or were last.
    files: Files,
    /// Another file at the path, and since when it has not changed.
    sight: Option<(Sight, Instant)>,
    /// When the readers were last closed because the file could not be opened: that is not done often.
    readers_closed: Option<Instant>,
    state: Arc<State>,
    clock: Arc<Clock>,
    known: Known,
    retention: Arc<Retention>,
    /// What tells this server from others.
    server: String,
    /// Whether logs end with this server.
    creates: bool,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        let mut closing = false;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !closing {
            tokio::select! {
                count = jobs.recv_many(&mut waiting, MOST_AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                }
                _ = look.tick() => {
                    let _ = self.ready().await;
                    continue;
                }
            }
            // Whoever waits no longer takes it for failed, and may try again.
            waiting.retain(|job| !job.reply.is_closed());
            let jobs = waiting.drain(..).map(|job| (job.work, job.reply));
            let (work, replies): (Vec<_>, Vec<_>) = jobs.unzip();
            closing = work.iter().any(|work| matches!(work, Work::Close));
            match self.commit(work).await {
                Ok(done) => {
                    for (reply, done) in replies.into_iter().zip(done) {
                        let _ = reply.send(Ok(done));
                    }
                }
                Err(failure) => {
                    for reply in replies {
                        let _ = reply.send(Err(failure.clone()));
                    }
                    // Says whether it was the file's fault.
                    let _ = self.ready().await;
                }
            }
        }
        self.close().await;
    }

    /// Closes the file: first its readers, because `SQLite` empties the write-ahead log when the last connection is
    /// closed, and only if that one may write.
    async fn close(&mut self) {
        self.state.close_readers().await;
        if let Some(connection) = &mut self.connection {
            opening::empty_log(connection, &self.opener.path).await;
        }
        if let Some(connection) = self.connection.take() {
            opening::close(connection).await;
        }
    }

    async fn commit(&mut self, work: Vec<Work>) -> Result<Vec<Done>, Arc<Failure>> {
        self.ready().await?;
        match self.transact(work).await {
            // Nothing is acknowledged that the file at the path lacks.
            Ok(done) if self.files.are_there() => Ok(done),
            Ok(_) => Err(self.opener.moved().into()),
            Err(failure) => {
                self.known = Known::default();
                if let Some(connection) = self.connection.take() {
                    let _ = connection.close().await;
                }
                Err(failure.into())
            }
        }
    }

    /// Makes sure that the file at the path is open, and says whether it is.
    async fn ready(&mut self) -> Result<(), Arc<Failure>> {
        let open = self.connection.is_some() && self.files.are_there();
        let ready = if open { Ok(()) } else { self.reopen().await.map_err(Arc::new) };
        self.state.report(ready.as_ref().err().cloned());
        ready
    }

    /// Opens the file at the path again, be it the same one or another one.
    async fn reopen(&mut self) -> Result<()> {
        let sight = Sight::of(&self.opener.path).ok();
        let Some(sight) = sight else {
            self.sight = None;
            return Err(self.opener.moved());
        };
        let other = sight.id != self.files.database;
        if other && !self.is_settled(sight) {
            return Err(self.opener.moved());
        }
        // A deleted file stays open until here, so that no other file has got its number.
        if other || self.connection.is_some() {
            self.close().await;
        }
        if other && self.files.have_left_a_log() {
            return Err(Failure::ForeignLog(self.opener.path.display().to_string()));
        }
        let opened = match self.opener.open().await {
            // Events can still be read.
            Err(failure) if failure.is_full_or_locked() => Err(failure),
            // SQLite's connections share what they have found out of the file, such as that it is read-only.
            Err(_) if self.readers_closed.is_none_or(|closed| closed.elapsed() >= SETTLED) => {
                self.state.close_readers().await;
                self.readers_closed = Some(Instant::now());
                self.opener.open().await
            }
            opened => opened,
        };
        // Nobody reads another file before its epochs have ended.
        let opened = match opened {
            Ok(open) if other => {
                tracing::error!(
                    path = %self.opener.path.display(),
                    "the database was replaced: it may lack events, and the epochs of its logs end"
                );
                opening::end_epochs(open).await
            }
            opened => opened,
        };
        if opened.is_ok() || !other {
            self.state.renew_readers(|| self.opener.readers());
        }
        let open = opened?;
        self.clock.advance_to(open.latest);
        self.known = Known::default();
        (self.connection, self.files, self.sight) = (Some(open.connection), open.files, None);
        Ok(())
    }

    /// Whether another file has not changed for a while.
    fn is_settled(&mut self, sight: Sight) -> bool {
        match self.sight {
            Some((seen, since)) if seen == sight => since.elapsed() >= SETTLED,
            _ => {
                self.sight = Some((sight, Instant::now()));
                false
            }
        }
    }

    async fn transact(&mut self, work: Vec<Work>) -> Result<Vec<Done>> {
        let connection = self.connection.as_mut().ok_or(Failure::Closed)?;
        query("begin immediate").execute(&mut *connection).await?;
        // Another process may have written.
        let version = query_scalar("pragma data_version").fetch_one(&mut *connection).await?;
        self.known.refresh(version);
        let mut transaction = Transaction::new(&mut *connection, &mut self.known, &self.clock);
        let mut done = Vec::with_capacity(work.len());
        for work in work {
            done.push(match work {
                Work::Create(log, epoch) => {
                    self.creates |= log.owner.is_creation();
                    let created = transaction.create(&log, epoch, &self.server).await?;
                    Done { created: Some(created), ..Done::default() }
                }
                Work::Append(batch) => {
                    Done { appended: transaction.append(batch).await?, ..Done::default() }
                }
                Work::EndEpoch(log, ended, next) => {
                    transaction.end_epoch(&log, ended, next).await?;
                    Done::default()
                }
                Work::Delete(log) => {
                    transaction.delete(&log).await?;
                    Done::default()
                }
                Work::Tend => {
                    let server = self.creates.then_some(&*self.server);
                    Done { orphans: transaction.tend(server).await?, ..Done::default() }
                }
                Work::Remove(places) => {
                    Done { removed: transaction.remove(&places).await?, ..Done::default() }
                }
                Work::Forget(keys) => {
                    Done { removed: transaction.forget(keys).await?, ..Done::default() }
                }
                Work::Close => {
                    transaction.leave(&self.server).await?;
                    Done::default()
                }
            });
        }
        let written = transaction.finish().await?;
        query("commit").execute(&mut *connection).await?;
        self.retention.wrote(written);
        Ok(done)
    }
}

impl Drop for Task {
    /// Only a runtime that ends drops a task that still has its connection. Nobody waits for the task then, and the
    /// process is about to end.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let path = self.opener.path.clone();
        let closing = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    // The task may have ended in the middle of a transaction.
                    let _ = query("rollback").execute(&mut connection).await;
                    opening::empty_log(&mut connection, &path).await;
                    opening::close(connection).await;
                });
            }
        });
        let _ = closing.join();
    }
}
