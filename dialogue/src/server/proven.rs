//! What authentication proved.

use std::{sync::Arc, time::SystemTime};

use crate::App;

/// Who a connection was proven to belong to.
pub(crate) struct Proven<A: App> {
    pub(crate) identity: A::Identity,
    pub(crate) user_id: Arc<str>,
    pub(crate) expires_at: Option<SystemTime>,
}
