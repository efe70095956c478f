//! What HTTP requests say of their client: where they come from, and what they may read.

pub(crate) mod document;
pub(crate) mod exposure;
pub(crate) mod handshake;
pub(crate) mod head;
pub(crate) mod origin;
