//! Counts of the rooms that were created at run time, by user and by address.

use std::{net::IpAddr, sync::Arc};

use dashmap::{DashMap, DashSet};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::live::Live;
use crate::connection::counter::Counter;

/// Maximum number of logs that may wait to be deleted after the store failed.
const DELETIONS: usize = 1_000;

/// The rooms that were created at run time, as far as limits count them.
pub(crate) struct CreatedRooms {
    /// The ids of rooms that are being created.
    pub(crate) reserved: DashSet<Arc<str>>,
    /// Number of rooms of each user that created some.
    pub(crate) by_user: Counter<Arc<str>>,
    /// Number of rooms that clients of each address created.
    pub(crate) by_address: Counter<IpAddr>,
    /// The address of the client that created a room, by the number of the room.
    pub(crate) addresses: DashMap<u64, IpAddr>,
    /// One permit for each log that may wait to be deleted after the store failed.
    deletions: Arc<Semaphore>,
}

impl CreatedRooms {
    pub(crate) fn new() -> Self {
        Self {
            reserved: DashSet::new(),
            by_user: Counter::new(),
            by_address: Counter::new(),
            addresses: DashMap::new(),
            deletions: Arc::new(Semaphore::new(DELETIONS)),
        }
    }

    /// Notes that a room is gone.
    pub(crate) fn remove(&self, live: &Live) {
        if let Some(creator) = live.room().spec().created_by {
            self.by_user.remove(creator.into());
        }
        if let Some((_, address)) = self.addresses.remove(&live.number()) {
            self.by_address.remove(address);
        }
    }

    /// Lets one more log wait to be deleted, unless too many do.
    pub(crate) fn deletion(&self) -> Option<OwnedSemaphorePermit> {
        self.deletions.clone().try_acquire_owned().ok()
    }
}
