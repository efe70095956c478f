//! The one that writes: whatever waits is done in one transaction, and answered when that is on disk.

use std::sync::Arc;

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, query, query_scalar, sqlite::SqliteConnectOptions,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{
        Appended, Batch, Created, LogId,
        sql::{Failure, Places, Result, Retention},
    },
    append::Transaction,
    known::Known,
};
use crate::Epoch;

/// How many jobs may wait; with more, asking waits.
const WAITING: usize = 1_024;
/// How many jobs are done in one transaction.
const MOST_AT_ONCE: usize = 256;

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
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        retention: Arc<Retention>,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let (connection, server) = (Some(connection), Epoch::random().to_string());
        let task = Task {
            options,
            connection,
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
    options: SqliteConnectOptions,
    /// None after a failure, which may have left it in the middle of something.
    connection: Option<SqliteConnection>,
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
        while !closing && jobs.recv_many(&mut waiting, MOST_AT_ONCE).await > 0 {
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
                    let failure = Arc::new(failure);
                    for reply in replies {
                        let _ = reply.send(Err(failure.clone()));
                    }
                }
            }
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }

    async fn commit(&mut self, work: Vec<Work>) -> Result<Vec<Done>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let done = self.transact(&mut connection, work).await;
        if done.is_ok() {
            self.connection = Some(connection);
        } else {
            self.known = Known::default();
            let _ = connection.close().await;
        }
        done
    }

    async fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        work: Vec<Work>,
    ) -> Result<Vec<Done>> {
        query("begin immediate").execute(&mut *connection).await?;
        // Another process may have written.
        let version = query_scalar("pragma data_version").fetch_one(&mut *connection).await?;
        self.known.refresh(version);
        let mut transaction = Transaction::new(connection, &mut self.known);
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
