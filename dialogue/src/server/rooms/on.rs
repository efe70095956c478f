//! What runs after a broadcast: `#[on]` handlers and those added at run time, in the room's order
//! and off the path of delivery.

use std::{
    any::Any,
    borrow::Cow,
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{Limits, budget::Holding, hook},
    any::AnyRoom,
    erased::ErasedRoom,
    live::Live,
};
use crate::{
    App, Deny, Dialogue, Event, EventMessage, RawMessage, TriggerError,
    message::{AnyMessage, Envelope},
    name,
};

/// After how many events the work lets others have its thread.
const IN_A_ROW: u32 = 32;

/// The handlers of one open room that were added at run time (those of its module are in
/// `ErasedRoom`), and the queue of what all of them have yet to see.
pub(crate) struct Handlers {
    added: RwLock<Vec<(u64, Handler)>>,
    next: AtomicU64,
    queue: Mutex<Queue>,
    /// Places in the queue for triggers that may wait.
    places: Arc<Semaphore>,
    /// Places for what handlers trigger: they wait for nothing, least of all for themselves.
    inner_places: Arc<Semaphore>,
    max_waiting: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    working: bool,
}

/// An event that was broadcast.
pub(crate) struct Job {
    pub(crate) message: Arc<dyn AnyMessage>,
    /// For the app's hooks.
    pub(crate) raw: Option<Arc<RawMessage>>,
    pub(crate) recipients: usize,
    pub(crate) place: Place,
}

/// A place in the queue.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Charges a client's event to the budget of its address.
    pub(crate) held: Option<Holding>,
}

impl From<OwnedSemaphorePermit> for Place {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, held: None }
    }
}

impl Handlers {
    pub(crate) fn new(limits: &Limits) -> Self {
        // What a semaphore can count is more than can wait.
        let max_waiting = limits.waiting_events.clamp(1, Semaphore::MAX_PERMITS / 2);
        Self {
            added: RwLock::default(),
            next: AtomicU64::new(0),
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(max_waiting)),
            // One reply to each of as many as wait, and to those that take their places meanwhile.
            inner_places: Arc::new(Semaphore::new(2 * max_waiting)),
            max_waiting,
        }
    }

    /// Whether anything handles the event.
    pub(crate) fn handles<A: App>(&self, room: &Arc<dyn ErasedRoom<A>>, event: &str) -> bool {
        A::HOOKS.follow()
            || room.has_on(event)
            || self.added().iter().any(|(_, added)| added.follows(event))
    }

    /// A place in the queue, if it is for an event that is handled. Waits for one, but not in a handler.
    pub(crate) async fn place(&self, handled: bool) -> Result<Option<Place>, TriggerError> {
        if !handled {
            return Ok(None);
        }
        if hook::is_handling() {
            let place = self.inner_places.clone().try_acquire_owned();
            return place.map(|it| Some(it.into())).map_err(|_| TriggerError::Overloaded);
        }
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await;
        place.map(|it| Some(it.into())).map_err(|_| TriggerError::Internal)
    }

    /// Appends an event. Whoever is told so starts [`work`].
    pub(crate) fn push(&self, job: Job) -> bool {
        let mut queue = self.queue();
        queue.jobs.push_back(job);
        !std::mem::replace(&mut queue.working, true)
    }

    /// Takes the next event; without one, ends the work.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        let next = queue.jobs.pop_front();
        if next.is_none() {
            *queue = Queue::default();
        }
        next
    }

    /// Whether there are handlers added at run time, or events to handle.
    pub(crate) fn are_busy(&self) -> bool {
        self.are_working() || !self.added().is_empty()
    }

    /// Whether there are events to handle, or one is being handled.
    pub(crate) fn are_working(&self) -> bool {
        self.queue().working
    }

    pub(crate) fn waiting(&self) -> usize {
        let free = self.places.available_permits() + self.inner_places.available_permits();
        3 * self.max_waiting - free
    }

    /// What runs before an event of this name.
    pub(crate) fn before(&self, event: &str) -> Vec<Before> {
        let before = |(_, added): &(u64, Handler)| match added {
            Handler::Before(name, call) if *name == event => Some(call.clone()),
            Handler::Before(..) | Handler::On(..) => None,
        };
        self.added().iter().filter_map(before).collect()
    }

    fn after(&self, event: &str) -> Vec<On> {
        let after = |(_, added): &(u64, Handler)| match added {
            Handler::On(_, call) if added.follows(event) => Some(call.clone()),
            Handler::Before(..) | Handler::On(..) => None,
        };
        self.added().iter().filter_map(after).collect()
    }

    fn add(&self, handler: Handler) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.added.write().unwrap_or_else(PoisonError::into_inner).push((number, handler));
        number
    }

    fn remove(&self, number: u64) {
        let removed = {
            let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
            let place = added.iter().position(|(found, _)| *found == number);
            place.map(|place| added.remove(place))
        };
        // What a closure holds is the user's, and is dropped without the lock.
        drop(removed);
    }

    fn added(&self) -> RwLockReadGuard<'_, Vec<(u64, Handler)>> {
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
    while let Some(job) = live.handlers.next() {
        // Handlers that never wait would keep a thread from everything else.
        handled_in_a_row = handled_in_a_row.wrapping_add(1);
        if handled_in_a_row.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        // Handlers are guarded one by one; this guards what dropping the message runs.
        let handled = AssertUnwindSafe(handle(&dialogue, &live, job)).catch_unwind();
        if hook::handle(handled).await.is_err() {
            tracing::error!(room = ?live.id(), "an event panicked after it was handled");
        }
    }
    drop(held);
}

/// Runs what follows a broadcast. What fails is logged; the event was delivered all the same.
async fn handle<A: App>(dialogue: &Dialogue<A>, live: &Live<A>, job: Job) {
    let Job { message, raw, recipients, place } = job;
    // An event that is being handled waits no more.
    drop(place);
    let (app, time) = (dialogue.app(), dialogue.limits().hook_time);
    let (room, id) = (live.room(), live.id());
    if let Some(raw) = raw {
        if A::HOOKS.after_each {
            let _ = hook::run_now("after_each", id, || app.after_each(&raw, recipients));
        }
        if A::HOOKS.triggered {
            let triggered = Box::pin(async { app.triggered(&raw).await });
            let _ = hook::run(time, "triggered", id, triggered).await;
        }
    }
    for n in 0.. {
        let Some(on) = room.clone().on(dialogue, &*message, n) else { break };
        let _ = hook::run(time, "on", id, on).await;
    }
    for on in live.handlers.after(message.event()) {
        let _ = hook::run(time, "on", id, on(message.clone())).await;
    }
}

pub(crate) type Before = Arc<
    dyn Fn(Box<dyn AnyMessage>) -> BoxFuture<'static, Result<Box<dyn AnyMessage>, Deny>>
        + Send
        + Sync,
>;
type On = Arc<dyn Fn(Arc<dyn AnyMessage>) -> BoxFuture<'static, ()> + Send + Sync>;

/// A handler added at run time for the events of one name, their type forgotten.
#[derive(Clone)]
pub(crate) enum Handler {
    Before(&'static str, Before),
    On(Cow<'static, str>, On),
}

impl Handler {
    pub(crate) fn before<E: Event, F, Fut>(handler: F) -> Self
    where
        F: Fn(EventMessage<E>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<EventMessage<E>, Deny>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message: Box<dyn AnyMessage>| -> BoxFuture<'static, _> {
            let handler = handler.clone();
            Box::pin(async move {
                let message = match own(message) {
                    Ok(message) => message,
                    Err(another) => return Ok(another),
                };
                let (event, room_id) = (message.event.clone(), message.room_id.clone());
                let mut message = handler(message).await?;
                // Which event it is and in which room is not the handler's to say.
                (message.event, message.room_id) = (event, room_id);
                Ok(Box::new(message) as Box<dyn AnyMessage>)
            })
        };
        Self::Before(E::SPEC.name, Arc::new(call))
    }

    pub(crate) fn on<E: Event, F, Fut>(handler: F) -> Self
    where
        F: Fn(Arc<EventMessage<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message| -> BoxFuture<'static, ()> {
            let handler = handler.clone();
            Box::pin(async move {
                if let Some(message) = share(message) {
                    handler(message).await;
                }
            })
        };
        Self::On(E::SPEC.name.into(), Arc::new(call))
    }

    pub(crate) fn on_raw<F, Fut>(event: String, handler: F) -> Self
    where
        F: Fn(Arc<RawMessage>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |message: Arc<dyn AnyMessage>| -> BoxFuture<'static, ()> {
            let handler = handler.clone();
            Box::pin(async move {
                // It was written as JSON before.
                if let Ok(raw) = message.to_raw() {
                    handler(Arc::new(raw)).await;
                }
            })
        };
        Self::On(event.into(), Arc::new(call))
    }

    /// Whether it runs after events of this name.
    fn follows(&self, event: &str) -> bool {
        match self {
            Self::On(name, _) => name == event || name == name::EVERY_EVENT,
            Self::Before(..) => false,
        }
    }
}

/// The message as an `E`. What has no type, because it is undeclared or a schema describes it, is
/// decoded; what is something else comes back.
fn own<E: Event>(message: Box<dyn AnyMessage>) -> Result<EventMessage<E>, Box<dyn AnyMessage>> {
    if message.as_any().is::<EventMessage<E>>() {
        let message: Box<dyn Any> = message;
        // It was just seen to be one.
        return Ok(*message.downcast().expect("an `E`"));
    }
    let raw = message.as_any().downcast_ref::<RawMessage>();
    raw.and_then(decode).ok_or(message)
}

/// As [`own`], for a message that others see too.
fn share<E: Event>(message: Arc<dyn AnyMessage>) -> Option<Arc<EventMessage<E>>> {
    let message: Arc<dyn Any + Send + Sync> = message;
    match message.downcast::<EventMessage<E>>() {
        Ok(message) => Some(message),
        Err(message) => message.downcast_ref::<RawMessage>().and_then(decode).map(Arc::new),
    }
}

fn decode<E: Event>(raw: &RawMessage) -> Option<EventMessage<E>> {
    let data = match E::parse_raw(&raw.data) {
        Ok(data) => data,
        Err(issues) => {
            tracing::trace!(event = E::SPEC.name, %issues, "an event is not of a handler's type");
            return None;
        }
    };
    let (envelope, event, _) = Envelope::of(raw.clone());
    Some(envelope.around(event, data))
}

/// Keeps a handler that was added at run time; dropping it removes the handler.
#[must_use = "dropping the guard removes the handler"]
pub struct HandlerGuard<A: App> {
    /// None where no room has the id: nothing will ever happen there.
    held: Option<(Dialogue<A>, Arc<Live<A>>, u64)>,
}

impl<A: App> HandlerGuard<A> {
    pub(crate) fn add(room: &AnyRoom<A>, handler: Handler) -> Self {
        let dialogue = room.dialogue();
        let mut handler = Some(handler);
        while let Some(live) = dialogue.hub().open(room.erased()) {
            let mut number = None;
            live.while_open(|| number = handler.take().map(|handler| live.handlers.add(handler)));
            if let Some(number) = number {
                return Self { held: Some((dialogue.clone(), live.live(), number)) };
            }
            // The room is being closed; it has left the hub in a moment.
            std::thread::yield_now();
        }
        Self { held: None }
    }

    /// Keeps the handler for as long as the room is there.
    pub fn keep(mut self) {
        self.held = None;
    }
}

impl<A: App> Drop for HandlerGuard<A> {
    fn drop(&mut self) {
        if let Some((dialogue, live, number)) = self.held.take() {
            let _held = dialogue.hub().hold(live.clone());
            live.handlers.remove(number);
        }
    }
}
