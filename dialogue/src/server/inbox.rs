//! The requests of one connection that wait for their turn.
//!
//! A bounded `mpsc` channel counts messages, not bytes, and takes 2 KB for its first block while a
//! connection is idle; this queue takes nothing until the first request.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    Limits,
    gateway::{DisconnectReason, Frame},
};

pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    ready: Notify,
    ended: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Whether a request is being handled.
    busy: bool,
    /// Whether nothing more is taken on.
    sealed: bool,
    closed: Option<DisconnectReason>,
}

/// What a session does next.
pub(crate) enum Next {
    Request(Frame),
    /// The connection ended; some requests may be left.
    Last(DisconnectReason),
}

/// Why a request is not taken on.
#[derive(Clone, Copy)]
pub(crate) enum Untaken {
    /// Too many wait.
    Overflow,
    /// The server stops.
    Draining,
}

impl Inbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            queue: Mutex::default(),
            ready: Notify::new(),
            ended: Notify::new(),
            max_frames: limits.waiting_requests,
            max_bytes: limits.waiting_bytes,
        }
    }

    /// Appends a request. After [`Inbox::close`], drops it.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), Untaken> {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return Ok(());
        }
        if queue.sealed {
            return Err(Untaken::Draining);
        }
        let bytes = queue.bytes + frame.len();
        if queue.frames.len() >= self.max_frames || bytes > self.max_bytes {
            return Err(Untaken::Overflow);
        }
        queue.bytes = bytes;
        queue.frames.push_back(frame);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Takes nothing more on. Returns whether nothing is left to do.
    pub(crate) fn seal(&self) -> bool {
        let mut queue = self.lock();
        queue.sealed = true;
        queue.frames.is_empty() && !queue.busy
    }

    /// Ends the queue; the first reason stays, unless the server wants no more. What a client sent
    /// before it went is still its wish, what waits when the server closes the connection is not.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut queue = self.lock();
        if reason.is_servers() {
            queue.frames = VecDeque::new();
            queue.bytes = 0;
            queue.closed = queue.closed.filter(|first| first.is_servers());
        }
        queue.closed.get_or_insert(reason);
        drop(queue);
        self.ended.notify_waiters();
        self.ready.notify_one();
    }

    /// The next request, as soon as there is one, or why the connection ended.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.lock().next() {
                return next;
            }
            self.ready.notified().await;
        }
    }

    /// The next request, if one waits: after the end, too.
    pub(crate) fn rest(&self) -> Option<Frame> {
        self.lock().pop()
    }

    /// Resolves when the server ends the connection.
    pub(crate) async fn ended_by_server(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on, it is noticed; what came before is in the queue.
            ended.as_mut().enable();
            if self.is_closed_by_server() {
                return;
            }
            ended.await;
        }
    }

    /// Whether the server ended the connection.
    pub(crate) fn is_closed_by_server(&self) -> bool {
        self.lock().closed.is_some_and(DisconnectReason::is_servers)
    }

    /// Whether the connection has ended, for whatever reason.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().frames.len()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self) -> Option<Next> {
        let next = match self.closed {
            Some(reason) => Some(Next::Last(reason)),
            None => self.pop().map(Next::Request),
        };
        self.busy = next.is_some();
        next
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Some(frame)
    }
}
