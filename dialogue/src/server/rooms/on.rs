//! What runs after a broadcast: `#[on]` handlers and those added at run time, in the room's order
//! and off the path of delivery.

use std::{
    any::Any,
    future::Future,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    super::{
        hook::{self, BoxFuture},
        message::AnyMessage,
    },
    erased::ErasedRoom,
    live::Live,
};
use crate::{App, Dialogue, Event, EventMessage, RawMessage};

/// The handlers of one open room: those of its module are in `ErasedRoom`, those added at run
/// time here, and the queue of what they have yet to see.
pub(crate) struct Handlers<A: App> {
    added: RwLock<Vec<(usize, Handler)>>,
    next: AtomicUsize,
    queue: OnceLock<mpsc::Sender<Job<A>>>,
}

impl<A: App> Default for Handlers<A> {
    fn default() -> Self {
        Self { added: RwLock::default(), next: AtomicUsize::new(0), queue: OnceLock::new() }
    }
}

/// A place in the queue.
pub(crate) type Place<A> = mpsc::OwnedPermit<Job<A>>;

/// An event for the handlers.
pub(crate) struct Job<A: App> {
    pub(crate) dialogue: Dialogue<A>,
    pub(crate) live: Arc<Live<A>>,
    pub(crate) message: Arc<dyn AnyMessage>,
}

impl<A: App> Handlers<A> {
    /// Waits for a place in the queue, if anything handles the event.
    pub(crate) async fn place(
        &self,
        dialogue: &Dialogue<A>,
        room: &Arc<dyn ErasedRoom<A>>,
        event: &str,
    ) -> Option<Place<A>> {
        if !room.has_on(event) && !self.added().iter().any(|(_, added)| added.event == event) {
            return None;
        }
        let queue = self.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(dialogue.limits().waiting_events);
            tokio::spawn(work(receiver));
            sender
        });
        // The other half ends only after this one.
        queue.clone().reserve_owned().await.ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added().is_empty()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.get().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    fn added(&self) -> std::sync::RwLockReadGuard<'_, Vec<(usize, Handler)>> {
        self.added.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, handler: Handler) -> usize {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.added.write().unwrap_or_else(PoisonError::into_inner).push((id, handler));
        id
    }

    fn remove(&self, id: usize) {
        self.added.write().unwrap_or_else(PoisonError::into_inner).retain(|(n, _)| *n != id);
    }
}

/// One task per room that has something to handle; it ends with the room.
async fn work<A: App>(mut queue: mpsc::Receiver<Job<A>>) {
    while let Some(Job { dialogue, live, message }) = queue.recv().await {
        let time = dialogue.limits().hook_time;
        let (room, id) = (live.room(), live.id());
        // A handler that fails is logged; the event was delivered all the same.
        for n in 0.. {
            let Some(on) = room.clone().on(&dialogue, &*message, n) else {
                break;
            };
            let _ = hook::run(time, "on", id, on).await;
        }
        let added: Vec<Call> = live
            .handlers
            .added()
            .iter()
            .filter(|(_, added)| added.event == message.event())
            .map(|(_, added)| added.call.clone())
            .collect();
        for call in added {
            let _ = hook::run(time, "on", id, call(message.clone())).await;
        }
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
    held: Option<(Dialogue<A>, Arc<Live<A>>, usize)>,
}

impl<A: App> OnGuard<A> {
    pub(crate) fn add(
        dialogue: &Dialogue<A>,
        room: &Arc<dyn ErasedRoom<A>>,
        handler: &Handler,
    ) -> Self {
        while let Some(live) = dialogue.hub().open(room) {
            let mut id = 0;
            if live.while_open(|| id = live.handlers.add(handler.clone())) {
                return Self { held: Some((dialogue.clone(), live, id)) };
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
        if let Some((dialogue, live, id)) = self.held.take() {
            live.handlers.remove(id);
            dialogue.hub().release(&live);
        }
    }
}
