//! Reading what a room keeps.

use std::{fmt, marker::PhantomData, sync::Arc};

use dialogue::{
    Event, EventMessage,
    protocol::{self, GetHistory, event},
};
use futures_util::future::BoxFuture;

use crate::{answer, client::Shared, error::HistoryError, link::RoomId, stream};

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
pub struct History<E> {
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
    /// Where older ones are, for [`History::before`]; `None` if there are none.
    pub older: Option<u64>,
}

impl<E: Event> History<E> {
    pub(crate) fn new(room: RoomId, client: Arc<Shared>) -> Self {
        Self { limit: DEFAULT_LIMIT, before: None, room, client, event: PhantomData }
    }

    /// How many events at most. Default: 50. The server has a limit of its own, 100 unless it says
    /// otherwise, and one on bytes.
    pub fn limit(mut self, most: usize) -> Self {
        self.limit = most;
        self
    }

    /// Only events before this `seq`. Default: the newest.
    pub fn before(mut self, seq: u64) -> Self {
        self.before = Some(seq);
        self
    }

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
        let events = page.events.iter().filter_map(|raw| stream::typed(raw, &client.errors));
        Ok(Page { events: events.collect(), older })
    }
}

impl<E: Event> IntoFuture for History<E> {
    type Output = Result<Page<E>, HistoryError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}

impl<E> fmt::Debug for History<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("room", &self.room).finish_non_exhaustive()
    }
}
