//! The requests of one connection that wait for their turn.
//!
//! A bounded `mpsc` channel counts messages, not bytes, and takes 2 KB for its first block while a
//! connection is idle; this queue takes nothing until the first request.

use std::{
    collections::VecDeque,
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
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    closed: Option<DisconnectReason>,
}

/// The queue is full.
pub(crate) struct Overflow;

impl Inbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            queue: Mutex::default(),
            ready: Notify::new(),
            max_frames: limits.waiting_requests,
            max_bytes: limits.waiting_bytes,
        }
    }

    /// Appends a request. After [`Inbox::close`], drops it.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), Overflow> {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return Ok(());
        }
        let bytes = queue.bytes + frame.len();
        if queue.frames.len() >= self.max_frames || bytes > self.max_bytes {
            return Err(Overflow);
        }
        queue.bytes = bytes;
        queue.frames.push_back(frame);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Ends the queue; the first reason stays. What a client sent before it went is still its
    /// wish, what waits when the server closes the connection is not.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let mut queue = self.lock();
        if reason == DisconnectReason::ServerClosed {
            queue.frames = VecDeque::new();
            queue.bytes = 0;
        }
        queue.closed.get_or_insert(reason);
        drop(queue);
        self.ready.notify_one();
    }

    /// The next request, or why there will be none.
    pub(crate) async fn next(&self) -> Result<Frame, DisconnectReason> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.ready.notified().await;
        }
    }

    fn try_next(&self) -> Option<Result<Frame, DisconnectReason>> {
        let mut queue = self.lock();
        match queue.frames.pop_front() {
            Some(frame) => {
                queue.bytes -= frame.len();
                if queue.frames.is_empty() {
                    queue.frames = VecDeque::new();
                }
                Some(Ok(frame))
            }
            None => queue.closed.map(Err),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().frames.len()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
