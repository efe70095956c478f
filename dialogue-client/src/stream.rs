//! The events of a room, as they are read.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use dialogue::{Event, EventMessage, RawMessage, Unreadable};
use futures_util::{Stream, future::poll_fn};
use tokio::sync::mpsc;

use crate::{core::Core, error::ClientError, shared::Shared};

/// The events of one type in a room, in the room's order; made by [`Room::on`](crate::Room::on).
///
/// Of what is not read, as many messages wait as [`Builder::buffer`](crate::Builder::buffer) says. What
/// comes beyond them is not lost, if the event has history: the stream knows its place, and when there is
/// room again, it reads on from the server's history, page by page, before it goes on live. Events
/// without history are dropped then, and [counted](Events::dropped).
///
/// The stream ends when the room is left or the client is closed.
#[must_use = "the stream ends when it is dropped"]
pub struct Events<E> {
    receiver: mpsc::Receiver<Arc<RawMessage>>,
    dropped: Arc<AtomicU64>,
    /// Keeps the room joined.
    _room: Arc<Core>,
    client: Arc<Shared>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Events<E> {
    pub(crate) fn new(
        receiver: mpsc::Receiver<Arc<RawMessage>>,
        dropped: Arc<AtomicU64>,
        room: Arc<Core>,
        client: Arc<Shared>,
    ) -> Self {
        Self { receiver, dropped, _room: room, client, event: PhantomData }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<EventMessage<E>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// How many events without history were dropped, because they were not read in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl<E: Event> Stream for Events<E> {
    type Item = EventMessage<E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(raw) = ready!(self.receiver.poll_recv(cx)) else { return Poll::Ready(None) };
            match typed(&raw) {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(Unreadable { event, issues, .. }) => {
                    let event = event.into_owned();
                    self.client.errors.tell(&Arc::new(ClientError::Unreadable { event, issues }));
                }
            }
        }
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

/// The message with its payload as its type.
pub(crate) fn typed<E: Event>(raw: &RawMessage) -> Result<EventMessage<E>, Unreadable> {
    let data = E::parse_raw(&raw.data).map_err(|issues| Unreadable::new(raw, issues))?;
    let mut message = EventMessage::new(raw.event.clone(), raw.room_id.clone(), data);
    message.from.clone_from(&raw.from);
    message.meta.clone_from(&raw.meta);
    (message.timestamp, message.position) = (raw.timestamp, raw.position);
    Ok(message)
}
