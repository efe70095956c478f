//! What handles ask of the connection's task.

use tokio::sync::oneshot;

use crate::{core::Waiter, link::RoomId, request::Request};

/// What handles ask for.
pub(crate) enum Command {
    Join {
        id: RoomId,
        reply: Waiter,
    },
    /// The reply is dropped when the server knows, or the connection is lost.
    Leave {
        id: RoomId,
        reply: oneshot::Sender<()>,
    },
    /// In a room, or outside.
    Request {
        room: Option<RoomId>,
        request: Request,
    },
    Close,
}
