//! Opening a room's log: asking the store where it ends.

use std::time::Instant;

use super::{live::Live, room_log::Log};
use crate::{
    Epoch,
    store::{
        Head,
        erased::{AnyStore, Unavailable},
    },
};

impl Live {
    /// Asks the store where the room's log ends, unless that is known. No client joins and no event is stored before that.
    /// Returns whether this call asked the store.
    pub(crate) async fn open_log(&self, store: &AnyStore) -> Result<bool, Unavailable> {
        let asked = Instant::now();
        let mut has_asked = false;
        let open = async || {
            // A caller that waited for an attempt that failed does not make one of its own.
            if self.opening.failed().is_some_and(|failed| failed >= asked) {
                return Err(Unavailable);
            }
            let epoch = Epoch::random();
            let head = if self.is_stored() {
                store.begin(self.log_id(), epoch).await
            } else {
                Ok(Head::empty(epoch))
            };
            if head.is_err() {
                *self.opening.failed() = Some(Instant::now());
            }
            let head = head?;
            self.lock().log = Some(Log::at(head));
            has_asked = true;
            Ok(())
        };
        self.opening.opened.get_or_try_init(open).await?;
        Ok(has_asked)
    }
}
