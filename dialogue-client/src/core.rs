//! What the handles and streams of a room share with the connection's task.

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot, watch};

use crate::{At, error::Failed, feed::Listeners, link::RoomId, reader::Opened};

/// What all handles and streams of a room have in common; the room is left when it is dropped.
pub(crate) struct Core {
    pub(crate) id: RoomId,
    /// The room's name for people.
    pub(crate) name: String,
    pub(crate) state: watch::Receiver<RoomState>,
    pub(crate) resets: Listeners<Reset>,
    /// Streams that the connection's task does not know yet.
    pub(crate) opened: Mutex<Vec<Opened>>,
    /// Tells that task to look here.
    pub(crate) attention: Arc<Notify>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.attention.notify_one();
    }
}

/// Where a join is answered with a handle.
pub(crate) type Waiter = oneshot::Sender<Result<Arc<Core>, Failed>>;

/// Whether a client is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoomState {
    /// Events come and go.
    Joined,
    /// The connection was lost, or the room is joined again; triggers wait, in order.
    Rejoining,
    /// The room was left or deleted, or does not take this client any more. Streams have ended; join
    /// again for another handle.
    Left,
}

/// A failed recovery: events may be missing before this position.
///
/// The log has a new epoch, or the server no longer keeps some of the missed events; those that it keeps
/// are yielded. If more than 10,000 events were missed, the client yields the first of them and skips the rest. An
/// app that derives state from events should rebuild it, for example from the history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reset {
    /// The stream has all events after this position.
    pub at: At,
    /// The event of which the server no longer keeps what was missed; `None` for the whole room, if it is another
    /// log or if more than 10,000 events were missed.
    pub event: Option<Arc<str>>,
}
