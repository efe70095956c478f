//! What a client hears besides the events of its rooms: bounded, for whoever listens.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::mpsc::{self, error::TrySendError};

/// How many items wait for a reader before more of them are dropped.
pub(crate) const WAITING: usize = 1_024;

/// A [`Stream`] of what happens from its creation on. Of what is not read, 1,024 items wait; what comes
/// beyond them is dropped. It ends with the client, and keeps the client going.
#[must_use = "the stream ends when it is dropped"]
pub struct Feed<T> {
    receiver: mpsc::Receiver<T>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl<T> Feed<T> {
    pub(crate) fn new(receiver: mpsc::Receiver<T>, owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self { receiver, _owner: owner }
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<T> {
        self.receiver.recv().await
    }
}

impl<T> Stream for Feed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(cx)
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

/// Who listens to something.
pub(crate) struct Listeners<T>(Mutex<Option<Vec<mpsc::Sender<T>>>>);

impl<T: Clone> Listeners<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    pub(crate) fn listen(&self) -> mpsc::Receiver<T> {
        let (sender, receiver) = mpsc::channel(WAITING);
        if let Some(listeners) = &mut *lock(&self.0) {
            listeners.push(sender);
        }
        receiver
    }

    pub(crate) fn tell(&self, item: &T) {
        if let Some(listeners) = &mut *lock(&self.0) {
            listeners.retain(|listener| is_heard(&listener.try_send(item.clone())));
        }
    }

    /// Nobody will be told anything any more.
    pub(crate) fn end(&self) {
        *lock(&self.0) = None;
    }
}

/// Whether somebody listens still, whether or not there was room.
pub(crate) fn is_heard<T>(sent: &Result<(), TrySendError<T>>) -> bool {
    !matches!(sent, Err(TrySendError::Closed(_)))
}

/// What is guarded is whole at every moment, whoever panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
