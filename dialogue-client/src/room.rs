//! The handle of a room that was joined.

use std::{fmt, marker::PhantomData, sync::Arc};

use dialogue::{Accepts, Carries, Event, Room as RoomKey};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    Events, History, Reset, RoomState, Trigger,
    command::Command,
    core::Core,
    feed::{Feed, lock},
    reader::Opened,
    shared::Shared,
};

/// A room that this client is in.
///
/// [`trigger`](Room::trigger) sends events, [`on`](Room::on) receives them, and [`history`](Room::history)
/// reads stored ones. The room's type lists its events. Other events do not compile.
///
/// After a lost connection, the client joins the room again from its last position. Streams continue in
/// order, without gaps or duplicates. If the server cannot guarantee that, [`resets`](Room::resets) yields
/// a [`Reset`].
///
/// `R` says what the room carries. `K` is what it was joined by: its key, or [`ById`].
#[must_use = "the room is left when its last handle and stream are dropped"]
pub struct Room<R, K = R> {
    joined_by: K,
    core: Arc<Core>,
    client: Arc<Shared>,
    carries: PhantomData<fn() -> R>,
}

/// Replaces the room key of a room that was joined with [`Client::join_id`](crate::Client::join_id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ById;

impl<R: RoomKey> Room<R> {
    /// The room's key: its fields are what the placeholders of the id stand for.
    pub fn key(&self) -> &R {
        &self.joined_by
    }
}

impl<R: RoomKey, K> Room<R, K> {
    pub(crate) fn new(joined_by: K, core: Arc<Core>, client: Arc<Shared>) -> Self {
        Self { joined_by, core, client, carries: PhantomData }
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The room's name for people.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The room's events of a type, from now on; see [`Events`]. An event that joiners do not receive by
    /// themselves is subscribed to.
    ///
    /// To have the past as well, open the stream first and read the [`history`](Room::history) then: what
    /// is in both has the same `position`.
    pub fn on<E: Event>(&self) -> Events<E>
    where
        R: Carries<E>,
    {
        let (sender, receiver) = mpsc::channel(self.client.config.buffer);
        let opened = Opened::new(E::SPEC.name, sender);
        let events =
            Events::new(receiver, opened.dropped.clone(), self.core.clone(), self.client.clone());
        let mut known_soon = lock(&self.core.opened);
        if self.state() != RoomState::Left {
            known_soon.push(opened);
            self.core.attention.notify_one();
        }
        events
    }

    /// Triggers an event: to be awaited.
    #[allow(clippy::needless_pass_by_value, reason = "who triggers an event is done with it")]
    pub fn trigger<E: Event>(&self, event: E) -> Trigger
    where
        R: Accepts<E>,
    {
        Trigger::new(&event, self.core.id.clone(), self.client.clone())
    }

    /// The room's events of a type that the server keeps, newest first: to be awaited.
    pub fn history<E: Event>(&self) -> History<E>
    where
        R: Carries<E>,
    {
        History::new(self.core.id.clone(), self.client.clone())
    }

    /// Whether the client is in the room at this moment.
    pub fn state(&self) -> RoomState {
        *self.core.state.borrow()
    }

    /// The state as it changes. It does not keep the room joined.
    pub fn states(&self) -> watch::Receiver<RoomState> {
        self.core.state.clone()
    }

    /// Whenever events may be missing, from now on.
    pub fn resets(&self) -> Feed<Reset> {
        Feed::new(self.core.resets.listen(), Arc::new((self.core.clone(), self.client.clone())))
    }

    /// Leaves the room for all handles, and ends its streams. Returns when the server has answered, when the
    /// connection is lost, or after [`Builder::request_timeout`](crate::Builder::request_timeout). A later
    /// join of the same room waits until then.
    ///
    /// Requests about different rooms have no order among themselves. Await this before the join of another room
    /// where the order matters, as in a game whose players are in one room at a time.
    pub async fn leave(self) {
        if self.state() == RoomState::Left {
            // Do not end a newer membership of the same room id.
            return;
        }
        let (reply, left) = oneshot::channel();
        let leave = Command::Leave { id: self.core.id.clone(), reply };
        let left = async {
            if self.client.command(leave).await.is_ok() {
                let _ = left.await;
            }
        };
        let _ = timeout(self.client.config.request_timeout, left).await;
    }
}

impl<R, K: Clone> Clone for Room<R, K> {
    fn clone(&self) -> Self {
        Self {
            joined_by: self.joined_by.clone(),
            core: self.core.clone(),
            client: self.client.clone(),
            carries: PhantomData,
        }
    }
}

impl<R, K> fmt::Debug for Room<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.core.id).finish_non_exhaustive()
    }
}
