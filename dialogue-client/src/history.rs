//! Reading what a room keeps.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use dialogue::{
    Event, EventMessage, Unreadable,
    protocol::{self, GetHistory, event},
};
use futures_util::future::BoxFuture;

use crate::{answer, error::HistoryError, link::RoomId, shared::Shared, stream};

/// How many events a page has, unless it says otherwise.
const DEFAULT_LIMIT: usize = 50;

/// A page of history; made by [`Room::history`](crate::Room::history).
///
/// ```no_run
/// # use dialogue_client::{HistoryError, Room};
/// # use protocol::{Note, board};
/// # async fn read(board: Room<board::Room>) -> Result<(), HistoryError> {
/// let mut page = board.history::<Note>().limit(50).await?;
/// while let Some(older) = page.older {
///     page = board.history::<Note>().limit(50).before(older).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is read before this is awaited"]
pub struct History<E>(Stage<E>);

enum Stage<E> {
    Prepared(Parts<E>),
    Running(BoxFuture<'static, Result<Page<E>, HistoryError>>),
    /// While it starts.
    Started,
}

struct Parts<E> {
    limit: usize,
    before: Option<u64>,
    room: RoomId,
    client: Arc<Shared>,
    event: PhantomData<fn() -> E>,
}

/// Some of the events that a room keeps.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page<E> {
    /// Newest first.
    pub events: Vec<EventMessage<E>>,
    /// Events of the page that are not of type `E` or break its rules, newest first: the type was another one
    /// when they were stored.
    pub unreadable: Vec<Unreadable>,
    /// Where older ones are, for [`History::before`]; `None` if there are none.
    pub older: Option<u64>,
}

impl<E: Event> History<E> {
    pub(crate) fn new(room: RoomId, client: Arc<Shared>) -> Self {
        let (limit, before, event) = (DEFAULT_LIMIT, None, PhantomData);
        Self(Stage::Prepared(Parts { limit, before, room, client, event }))
    }

    /// What is set before the request is polled for the first time; afterwards it is too late.
    fn set(mut self, set: impl FnOnce(&mut Parts<E>)) -> Self {
        if let Stage::Prepared(parts) = &mut self.0 {
            set(parts);
        }
        self
    }

    /// How many events at most. Default: 50. The server has a limit of its own, 100 unless it says
    /// otherwise, and one on bytes.
    pub fn limit(self, most: usize) -> Self {
        self.set(|parts| parts.limit = most)
    }

    /// Only events before this `seq`. Default: the newest.
    pub fn before(self, seq: u64) -> Self {
        self.set(|parts| parts.before = Some(seq))
    }
}

impl<E: Event> Parts<E> {
    async fn read(self) -> Result<Page<E>, HistoryError> {
        let Self { limit, before, room, client, .. } = self;
        let request = GetHistory {
            room_id: (&*room).into(),
            event_name: Some(E::SPEC.name.into()),
            start: None,
            end: None,
            after: None,
            // The server counts with what JSON's readers count with.
            before: Some(before.unwrap_or(i64::MAX.unsigned_abs())),
            limit: Some(limit),
        };
        let answer = client.ask(Some(room.clone()), event::GET_HISTORY, &request, true).await?;
        let page: protocol::Page<'_> = answer::read(&answer)?;
        let last = page.events.last().and_then(|event| event.position);
        let older = last.filter(|_| !page.complete).map(|position| position.seq);
        let (mut events, mut unreadable) = (Vec::new(), Vec::new());
        for raw in page.events.iter() {
            match stream::typed(raw) {
                Ok(event) => events.push(event),
                Err(error) => unreadable.push(error),
            }
        }
        Ok(Page { events, unreadable, older })
    }
}

impl<E: Event> Future for History<E> {
    type Output = Result<Page<E>, HistoryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match std::mem::replace(&mut self.0, Stage::Started) {
                Stage::Prepared(parts) => Stage::Running(Box::pin(parts.read())),
                Stage::Running(mut running) => {
                    let polled = running.as_mut().poll(cx);
                    self.0 = Stage::Running(running);
                    return polled;
                }
                // Nothing panics between the two.
                Stage::Started => unreachable!("a request that was started is running"),
            };
        }
    }
}

impl<E> fmt::Debug for History<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut history = f.debug_struct("History");
        if let Stage::Prepared(parts) = &self.0 {
            history.field("room", &parts.room);
        }
        history.finish_non_exhaustive()
    }
}
