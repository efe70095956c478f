//! What clients and the server's own code ask for: one file per request, which says what became of it. A transport
//! turns that into its wire.

pub(crate) mod abandoned_rooms;
pub(crate) mod after_delivery;
pub(crate) mod announce;
pub(crate) mod archive;
pub(crate) mod authenticate;
pub(crate) mod create_room;
pub(crate) mod delete_room;
pub(crate) mod history;
pub(crate) mod host;
pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod list_rooms;
mod log_entry;
pub(crate) mod notices;
pub(crate) mod publish;
pub(crate) mod rates;
pub(crate) mod rejections;
pub(crate) mod subscribe;
pub(crate) mod trigger;
pub(crate) mod visibility;
