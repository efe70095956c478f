//! What clients are told of a room.

use crate::{RoomSpec, protocol::RoomInfo};

impl RoomInfo {
    /// What it takes in a list, in bytes, about.
    pub(crate) fn weight(&self) -> usize {
        let texts = [&self.description, &self.created_by_id]
            .map(|text| text.as_ref().map_or(0, String::len));
        self.id.len() + self.name.len() + texts.iter().sum::<usize>() + 128
    }

    pub(crate) fn of(id: &str, spec: RoomSpec<'_>, size: usize) -> Self {
        Self {
            id: id.to_owned(),
            name: spec.name.unwrap_or(id).to_owned(),
            description: spec.description.map(str::to_owned),
            size,
            max_size: spec.max_size.map(Into::into),
            created_by_id: spec.created_by.map(str::to_owned),
        }
    }
}
