//! What runs after a broadcast: `#[on]` handlers and those added at run time, in the room's order
//! and off the path of delivery.

use std::{
    any::Any,
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{
        Limits,
        hook::{self, BoxFuture},
        message::AnyMessage,
    },
    erased::ErasedRoom,
    live::Live,
};
use crate::{App, Dialogue, Event, EventMessage, RawMessage, TriggerError};

/// After how many events the work lets others have its thread.
const IN_A_ROW: u32 = 32;

tokio::task_local! {
    /// Set while an `#[on]` handler runs.
    static HANDLING: ();
}

/// The handlers of one open room that were added at run time (those of its module are in
/// `ErasedRoom`), and the queue of what all of them have yet to see.
pub(crate) struct Handlers {
    added: RwLock<Vec<Handler>>,
    queue: Mutex<Queue>,
    /// Places in the queue for triggers that may wait.
    places: Arc<Semaphore>,
    /// Places for what handlers trigger: they wait for nothing, least of all for themselves.
    inner_places: Arc<Semaphore>,
    max_waiting: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Arc<dyn AnyMessage>, Place)>,
    working: bool,
}

/// A place in the queue.
pub(crate) type Place = OwnedSemaphorePermit;

impl Handlers {
    pub(crate) fn new(limits: &Limits) -> Self {
        // What a semaphore can count is more than can wait.
        let max_waiting = limits.waiting_events.clamp(1, Semaphore::MAX_PERMITS / 2);
        Self {
            added: RwLock::default(),
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(max_waiting)),
            // One reply to each of as many as wait, and to those that take their places meanwhile.
            inner_places: Arc::new(Semaphore::new(2 * max_waiting)),
            max_waiting,
        }
    }

    /// A place in the queue, if anything handles the event. Waits for one, but not in a handler.
    pub(crate) async fn place<A: App>(
        &self,
        room: &Arc<dyn ErasedRoom<A>>,
        event: &str,
    ) -> Result<Option<Place>, TriggerError> {
        if !room.has_on(event) && !self.added().iter().any(|added| added.event == event) {
            return Ok(None);
        }
        if HANDLING.try_with(|()| ()).is_ok() {
            let place = self.inner_places.clone().try_acquire_owned();
            return place.map(Some).map_err(|_| TriggerError::Overloaded);
        }
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.map(Some).map_err(|_| TriggerError::Internal)
    }

    /// Appends an event. Whoever is told so starts [`work`].
    pub(crate) fn push(&self, message: Arc<dyn AnyMessage>, place: Place) -> bool {
        let mut queue = self.queue();
        queue.jobs.push_back((message, place));
        !std::mem::replace(&mut queue.working, true)
    }

    /// Takes the next event, and with it its place; without one, ends the work.
    fn next(&self) -> Option<Arc<dyn AnyMessage>> {
        let mut queue = self.queue();
        let next = queue.jobs.pop_front();
        if next.is_none() {
            *queue = Queue::default();
        }
        next.map(|(message, _place)| message)
    }

    /// Whether there are handlers added at run time, or events to handle.
    pub(crate) fn are_busy(&self) -> bool {
        self.queue().working || !self.added().is_empty()
    }

    pub(crate) fn waiting(&self) -> usize {
        let free = self.places.available_permits() + self.inner_places.available_permits();
        3 * self.max_waiting - free
    }

    pub(crate) fn add(&self, handler: Handler) {
        self.added.write().unwrap_or_else(PoisonError::into_inner).push(handler);
    }

    fn remove(&self, call: &Call) {
        let removed = {
            let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
            let place = added.iter().position(|added| Arc::ptr_eq(&added.call, call));
            place.map(|place| added.remove(place))
        };
        // What a closure holds is the user's, and is dropped without the lock.
        drop(removed);
    }

    fn added(&self) -> RwLockReadGuard<'_, Vec<Handler>> {
        self.added.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handles a room's events until none is left, in a task of its own.
pub(crate) async fn work<A: App>(dialogue: Dialogue<A>, live: Arc<Live<A>>) {
    let held = dialogue.hub().hold(live.clone());
    let mut handled_in_a_row = 0_u32;
    while let Some(message) = live.handlers.next() {
        // Handlers that never wait would keep a thread from everything else.
        handled_in_a_row = handled_in_a_row.wrapping_add(1);
        if handled_in_a_row.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        // Handlers are guarded one by one; this guards what dropping the message runs.
        let handled = AssertUnwindSafe(handle(&dialogue, &live, message)).catch_unwind();
        if HANDLING.scope((), handled).await.is_err() {
            tracing::error!(room = %live.id(), "an event panicked after it was handled");
        }
    }
    drop(held);
}

async fn handle<A: App>(dialogue: &Dialogue<A>, live: &Live<A>, message: Arc<dyn AnyMessage>) {
    let time = dialogue.limits().hook_time;
    let (room, id) = (live.room(), live.id());
    // A handler that fails is logged; the event was delivered all the same.
    for n in 0.. {
        let Some(on) = room.clone().on(dialogue, &*message, n) else { break };
        let _ = hook::run(time, "on", id, on).await;
    }
    let added: Vec<Call> = live
        .handlers
        .added()
        .iter()
        .filter(|added| added.event == message.event())
        .map(|added| added.call.clone())
        .collect();
    for call in added {
        let _ = hook::run(time, "on", id, call(message.clone())).await;
    }
}

type Call = Arc<dyn Fn(Arc<dyn AnyMessage>) -> BoxFuture<'static, ()> + Send + Sync>;

/// A handler added at run time, its event's type forgotten.
#[derive(Clone)]
pub(crate) struct Handler {
    event: &'static str,
    call: Call,
}

impl Handler {
    pub(crate) fn new<E: Event, F, Fut>(handler: F) -> Self
    where
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message| -> BoxFuture<'static, ()> {
            let handler = handler.clone();
            Box::pin(async move {
                if let Some(message) = typed(message) {
                    handler(message).await;
                }
            })
        };
        Self { event: E::SPEC.name, call: Arc::new(call) }
    }
}

/// The message as an `E`. What passed a room with `events(any)` undecoded is decoded now, and
/// skipped if it is something else.
fn typed<E: Event>(message: Arc<dyn AnyMessage>) -> Option<Arc<EventMessage<E>>> {
    let message: Arc<dyn Any + Send + Sync> = message;
    let message = match message.downcast::<EventMessage<E>>() {
        Ok(message) => return Some(message),
        Err(message) => message.downcast::<RawMessage>().ok()?,
    };
    let data = match E::parse_raw(&message.data) {
        Ok(data) => data,
        Err(issues) => {
            tracing::debug!(event = E::SPEC.name, %issues, "an undeclared event is of another type");
            return None;
        }
    };
    let RawMessage { event, room_id, from, timestamp, meta, .. } = (*message).clone();
    Some(Arc::new(EventMessage { event, room_id, data, from, timestamp, meta }))
}

/// Keeps a handler that [`RoomHandle::on`](crate::RoomHandle::on) added; dropping it removes the
/// handler.
#[must_use = "dropping the guard removes the handler"]
pub struct OnGuard<A: App> {
    /// None where no room has the id that the key makes: nothing will ever happen there.
    held: Option<(Dialogue<A>, Arc<Live<A>>, Call)>,
}

impl<A: App> OnGuard<A> {
    pub(crate) fn add(
        dialogue: &Dialogue<A>,
        room: &Arc<dyn ErasedRoom<A>>,
        handler: &Handler,
    ) -> Self {
        while let Some(live) = dialogue.hub().open(room) {
            if live.while_open(|| live.handlers.add(handler.clone())) {
                return Self { held: Some((dialogue.clone(), live.live(), handler.call.clone())) };
            }
        }
        Self { held: None }
    }

    /// Keeps the handler for as long as the server runs.
    pub fn keep(mut self) {
        self.held = None;
    }
}

impl<A: App> Drop for OnGuard<A> {
    fn drop(&mut self) {
        if let Some((dialogue, live, call)) = self.held.take() {
            let _held = dialogue.hub().hold(live.clone());
            live.handlers.remove(&call);
        }
    }
}
