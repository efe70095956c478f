//! Who a log belongs to.

use std::{fmt, sync::Arc};

use crate::Epoch;

/// How the text of an owner begins that is one creation by a client.
const CLIENT: &str = "client:";
/// How the text of an owner begins that is the app on behalf of a user.
const USER: &str = "user:";

/// Who a room's log belongs to. Two owners are the same if their texts are.
///
/// - [`Owner::app`]: the app. All servers of the app, and all runs of them, are this one owner.
/// - [`Owner::user`]: the app, which created the room [for a user](crate::RoomConfig::created_by).
/// - [`Owner::creation`]: one creation that a client asked for. No other creation has this owner, also not one
///   of the same room by the same client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The app, for rooms that a module declares and rooms that its code creates for no user.
    pub fn app() -> Self {
        Self("".into())
    }

    /// The app, for rooms that its code creates for this user.
    pub fn user(id: &str) -> Self {
        Self(format!("{USER}{id}").into())
    }

    /// A creation that a client asks for: an owner that no log ever had.
    pub fn creation() -> Self {
        // As long as no two are the same, nobody has to be kept from guessing them.
        Self(format!("{CLIENT}{}{}", Epoch::random(), Epoch::random()).into())
    }

    /// The owner that a store kept this text of.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(super) fn kept(text: String) -> Self {
        Self(text.into())
    }

    /// The text that a store keeps: up to 300 bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a client asked for the creation.
    pub fn is_creation(&self) -> bool {
        self.0.starts_with(CLIENT)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a log: the log of one room that belongs to one owner.
///
/// ```
/// use dialogue::store::{LogId, Owner};
///
/// let log = LogId::from("board");                        // the app's log of the room `board`
/// assert_eq!((&*log.room, log.owner), ("board", Owner::app()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogId {
    /// The room's id.
    pub room: Arc<str>,
    /// Who the log belongs to.
    pub owner: Owner,
}

impl LogId {
    /// The log of this room that belongs to this owner.
    pub fn new(room: impl Into<Arc<str>>, owner: Owner) -> Self {
        Self { room: room.into(), owner }
    }
}

/// The app's log of the room with this id.
impl<R: Into<Arc<str>>> From<R> for LogId {
    fn from(room: R) -> Self {
        Self::new(room, Owner::app())
    }
}
