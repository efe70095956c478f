//! Reserving the id of a room that is about to be created.

use std::{net::IpAddr, sync::Arc};

use super::{definition::Definition, hub::Hub, live::Live};
use crate::{
    CreateError, Epoch,
    connection::network_prefix,
    model::{name, pattern},
};

/// The id of a room that is being created, and its place in its creator's quota: both free again when this is
/// dropped, unless the room has opened.
pub(crate) struct Reserved<'a> {
    hub: &'a Hub,
    room: Arc<dyn Definition>,
    /// Whether the id is reserved for this room.
    holds_id: bool,
    /// The user and the address that have one more room for now.
    creator: Option<Arc<str>>,
    address: Option<IpAddr>,
}

/// A client that asks for a room.
#[derive(Clone, Copy)]
pub(crate) struct Asker {
    /// What counts as its address, if that is known.
    address: Option<IpAddr>,
}

impl Asker {
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        Self { address: address.map(network_prefix::host) }
    }
}

impl Hub {
    /// Reserves the id of a room that does not open by itself: one of a family that says so, or one that no
    /// module declares. What clients ask for is counted against what they may have.
    pub(crate) fn reserve(
        &self,
        room: &Arc<dyn Definition>,
        asker: Option<Asker>,
    ) -> Result<Reserved<'_>, CreateError> {
        let (id, spec) = (room.id(), room.spec());
        if !name::is_room_id(id) {
            return Err(CreateError::InvalidId);
        }
        let mut reserved = Reserved {
            hub: self,
            room: room.clone(),
            holds_id: false,
            creator: None,
            address: None,
        };
        // Before the id is looked up: a client that may create no room does not learn which ids are taken.
        if let Some(creator) = spec.created_by {
            let most = asker.map_or(usize::MAX, |_| self.limits().rooms_per_user);
            if !self.created().by_user.add(creator.into(), most) {
                return Err(CreateError::LimitExceeded { most });
            }
            reserved.creator = Some(creator.into());
        }
        if let Some(address) = asker.and_then(|Asker { address }| address) {
            let most = self.limits().rooms_per_address;
            if !self.created().by_address.add(address, most) {
                return Err(CreateError::LimitExceeded { most });
            }
            reserved.address = Some(address);
        }
        if asker.is_some() {
            self.check_total(&reserved)?;
        }
        // The pattern decides, not its typed parse: an id that looks like one of a family must
        // not become another room.
        for declared in self.declared() {
            if !pattern::matches(declared.spec.pattern, id) {
                continue;
            }
            if !declared.spec.explicit || declared.spec.pattern != spec.pattern {
                return Err(CreateError::Declared);
            }
            if (declared.open)(id).is_none() {
                return Err(CreateError::InvalidId);
            }
        }
        if !spec.explicit {
            return Err(CreateError::Declared);
        }
        reserved.holds_id = self.created().reserved.insert(id.clone());
        // A room that was being created until now took its place before its reservation ended.
        if !reserved.holds_id || self.find(id).is_some() {
            return Err(CreateError::Exists);
        }
        Ok(reserved)
    }

    /// Whether all users together may have the room that is reserved: one of the last only if it is the first of
    /// its creator.
    fn check_total(&self, reserved: &Reserved<'_>) -> Result<(), CreateError> {
        let (created, most) = (self.created(), self.limits().created_rooms);
        let user = reserved.creator.as_ref().map_or(0, |creator| created.by_user.count(creator));
        let address = reserved.address.as_ref().map_or(0, |from| created.by_address.count(from));
        let most = if user <= 1 && address <= 1 { most } else { most - most / 10 };
        if created.by_user.total() > most {
            return Err(CreateError::LimitExceeded { most });
        }
        Ok(())
    }
}

impl Reserved<'_> {
    /// Opens the room. If its log was just created, and is empty, this is its epoch.
    pub(crate) fn open(mut self, empty: Option<Epoch>) -> Arc<Live> {
        let live = self.hub.new_room(&self.room, empty);
        if let Some(address) = self.address.take() {
            self.hub.created().addresses.insert(live.number(), address);
        }
        self.hub.insert(live.clone());
        // It is the room's from now on.
        self.creator = None;
        live
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let created = self.hub.created();
        if let Some(creator) = self.creator.take() {
            created.by_user.remove(creator);
        }
        if let Some(address) = self.address.take() {
            created.by_address.remove(address);
        }
        if self.holds_id {
            created.reserved.remove(self.room.id());
        }
    }
}
