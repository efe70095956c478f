//! What the engine knows of a room before it is open.

use std::{any::Any, sync::Arc};

use crate::{RoomSpec, store::Owner};

/// A room of the app, open or not.
pub(crate) trait Definition: Any + Send + Sync {
    fn id(&self) -> &Arc<str>;
    fn spec(&self) -> RoomSpec<'_>;

    /// Which creation of its id the room is, if it was created at run time: after deletion, another
    /// room may take the id.
    fn creation(&self) -> Option<u64>;

    /// The owner of the room's log.
    fn owner(&self) -> Owner;
}

/// A room or family of rooms that the app declares.
#[derive(Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) spec: RoomSpec<'static>,
    /// The room with this id, if the id is one of the family's.
    pub(crate) open: fn(&str) -> Option<Arc<dyn Definition>>,
}
