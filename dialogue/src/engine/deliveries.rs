//! Events that were delivered and that handlers have yet to see, in the room's order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Limits, RawMessage, TriggerError, connection::budget::Holding, model::message::AnyMessage,
};

/// The events of one room that handlers have yet to see.
pub(crate) struct Deliveries {
    queue: Mutex<Queue>,
    /// Places in the queue for triggers that may wait.
    places: Arc<Semaphore>,
    /// Places for what handlers trigger: a handler that waited for a place might wait for itself.
    inner_places: Arc<Semaphore>,
    max_waiting: usize,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Delivered>,
    /// Whether a task takes from the queue.
    working: bool,
}

/// An event that was delivered.
pub(crate) struct Delivered {
    pub(crate) message: Arc<dyn AnyMessage>,
    /// For the app's hooks.
    pub(crate) raw: Option<Arc<RawMessage>>,
    pub(crate) recipients: usize,
    pub(crate) place: HandlerSlot,
}

/// A place in the queue.
pub(crate) struct HandlerSlot {
    _permit: OwnedSemaphorePermit,
    /// Charges a client's event to the budget of its address.
    pub(crate) held: Option<Holding>,
}

impl From<OwnedSemaphorePermit> for HandlerSlot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, held: None }
    }
}

impl Deliveries {
    pub(crate) fn new(limits: &Limits) -> Self {
        // What a semaphore can count is more than can wait.
        let max_waiting = limits.waiting_events.clamp(1, Semaphore::MAX_PERMITS / 2);
        Self {
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(max_waiting)),
            // One reply to each of as many as wait, and to those that take their places meanwhile.
            inner_places: Arc::new(Semaphore::new(2 * max_waiting)),
            max_waiting,
        }
    }

    /// Waits for a place in the queue.
    pub(crate) async fn place(&self) -> Result<HandlerSlot, TriggerError> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await;
        place.map(HandlerSlot::from).map_err(|_| TriggerError::Internal)
    }

    /// A place for an event that a handler triggers. Fails with [`TriggerError::Overloaded`] if there is none.
    pub(crate) fn inner_place(&self) -> Result<HandlerSlot, TriggerError> {
        let place = self.inner_places.clone().try_acquire_owned();
        place.map(HandlerSlot::from).map_err(|_| TriggerError::Overloaded)
    }

    /// Appends an event. Returns whether the caller must start the task that takes from the queue.
    pub(crate) fn push(&self, delivered: Delivered) -> bool {
        let mut queue = self.queue();
        queue.events.push_back(delivered);
        !std::mem::replace(&mut queue.working, true)
    }

    /// Takes the next event; without one, ends the work.
    pub(crate) fn next(&self) -> Option<Delivered> {
        let mut queue = self.queue();
        let next = queue.events.pop_front();
        if next.is_none() {
            *queue = Queue::default();
        }
        next
    }

    /// Whether there are events to handle, or one is being handled.
    pub(crate) fn are_working(&self) -> bool {
        self.queue().working
    }

    /// Number of places that are taken.
    pub(crate) fn waiting(&self) -> usize {
        let free = self.places.available_permits() + self.inner_places.available_permits();
        3 * self.max_waiting - free
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
