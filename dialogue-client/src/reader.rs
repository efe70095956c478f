//! Streams, as the connection's task fills them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dialogue::RawMessage;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    link::Patience,
    place::{At, Place, Range, Step},
};

/// A stream that the connection's task does not know yet.
pub(crate) struct Opened {
    pub(crate) event: &'static str,
    sender: mpsc::Sender<Arc<RawMessage>>,
    pub(crate) dropped: Arc<AtomicU64>,
}

impl Opened {
    pub(crate) fn new(event: &'static str, sender: mpsc::Sender<Arc<RawMessage>>) -> Self {
        Self { event, sender, dropped: Arc::default() }
    }
}

/// A stream, as the connection's task fills it.
pub(crate) struct Reader {
    /// Names the stream in what is asked for it; another one after a reset, so that answers to what was
    /// asked before count no more.
    pub(crate) id: u64,
    pub(crate) event: &'static str,
    /// The room does not have its event, as the server has said on this connection.
    pub(crate) refused: bool,
    /// Whether the app was told so.
    pub(crate) told: bool,
    sender: mpsc::Sender<Arc<RawMessage>>,
    dropped: Arc<AtomicU64>,
    place: Place,
    /// How many events to ask for at once, and how many are held meanwhile.
    pub(crate) page: usize,
    /// How long a page may take.
    pub(crate) patience: Patience,
    /// Whether somebody waits for room in the buffer, or for a page.
    catching_up: CatchingUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CatchingUp {
    Idle,
    WaitsForRoom,
    Asked,
}

/// The largest page that servers send, unless they say otherwise.
const LARGEST_PAGE: usize = 100;

impl Reader {
    pub(crate) fn new(opened: Opened, id: u64, at: At) -> Self {
        let Opened { event, sender, dropped } = opened;
        // What a page has, and what came meanwhile, finds room together.
        let page = (sender.max_capacity() / 2).clamp(1, LARGEST_PAGE);
        let hold = page.min(sender.max_capacity() - page);
        let place = Place::new(at, [event.into()], hold).without_bound();
        let (refused, told, catching_up) = (false, false, CatchingUp::Idle);
        let patience = Patience::default();
        Self { id, event, refused, told, sender, dropped, place, page, patience, catching_up }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Takes in what the room has next, as far as there is room for it.
    pub(crate) fn live(&mut self, message: &Arc<RawMessage>) {
        if message.position.is_none() {
            if let Err(TrySendError::Full(_)) = self.sender.try_send(message.clone()) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        if self.sender.capacity() == 0 {
            self.place.fall_behind(self.place.seen(self.event));
        } else if let (None, Some(position)) = (self.place.behind(), message.position) {
            // The room has seen to it that nothing is missing.
            self.skip_to(position.prev);
        }
        let steps = self.place.live(message.clone());
        // The room says so of all its streams.
        self.take(steps, |_| {});
    }

    /// What was up to there is not this stream's.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.place.skip_to(seq);
    }

    /// Takes in a page; says after which place the stream goes on where events are missing. Returns whether the
    /// page had nothing new, so that it is to be asked for again later.
    pub(crate) fn page(&mut self, range: Range, missing: impl FnMut(At)) -> bool {
        let steps = self.place.page(range);
        let later = steps.iter().any(|step| matches!(step, Step::Fetch { later: true, .. }));
        if !later {
            self.idle();
        }
        if self.place.behind().is_none() {
            self.patience = Patience::default();
        }
        self.take(steps, missing);
        later
    }

    /// Events of the room may be missing.
    pub(crate) fn reset(&mut self, id: u64, at: At) {
        (self.id, self.catching_up) = (id, CatchingUp::Idle);
        self.place = self.place.anew(at);
    }

    /// Whether a page was asked for.
    pub(crate) fn has_asked(&self) -> bool {
        self.catching_up == CatchingUp::Asked
    }

    /// What was asked for will not be answered, and the next server may have the event.
    pub(crate) fn lost(&mut self) {
        self.refused = false;
        if self.has_asked() {
            self.idle();
        }
    }

    /// Nobody waits for anything: [`Reader::room`] is to be asked again.
    pub(crate) fn idle(&mut self) {
        self.catching_up = CatchingUp::Idle;
    }

    /// What to wait for before there is room for a page, if nobody waits for it already.
    pub(crate) fn room(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        if self.place.behind().is_none() || self.catching_up != CatchingUp::Idle {
            return None;
        }
        self.catching_up = CatchingUp::WaitsForRoom;
        let (sender, room) = (self.sender.clone(), self.sender.max_capacity().min(2 * self.page));
        Some(async move { drop(sender.reserve_many(room).await) })
    }

    /// What to ask for, now that there is room.
    pub(crate) fn catch_up(&mut self) -> Option<u64> {
        let after = self.place.behind();
        self.catching_up = if after.is_some() { CatchingUp::Asked } else { CatchingUp::Idle };
        after
    }

    fn take(&mut self, steps: Vec<Step>, mut missing: impl FnMut(At)) {
        for step in steps {
            match step {
                // There is room, or nobody reads any more.
                Step::Deliver(message) => drop(self.sender.try_send(message)),
                // It is fetched when there is room for it.
                Step::Fetch { .. } => {}
                Step::Reset(at) | Step::Skip { at, .. } => missing(at),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dialogue::Position;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn page_without_news_is_not_asked_for_again_at_once() {
        let at = |seq| At { epoch: "000000000000000a".parse().unwrap(), seq };
        let tick = |seq| {
            let mut message = RawMessage::new("tick", "room", RawValue::NULL.to_owned());
            message.position = Some(Position { epoch: at(0).epoch, seq, prev: seq - 1 });
            Arc::new(message)
        };
        let page = |events, seq| Range { events, complete: true, end: at(seq) };
        let (sender, mut receiver) = mpsc::channel(2);
        let mut reader = Reader::new(Opened::new("tick", sender), 1, at(0));
        let mut read = || receiver.try_recv().ok().and_then(|it| it.position).map(|it| it.seq);
        // One is held, and the next is not.
        (1..=4).for_each(|seq| reader.live(&tick(seq)));
        assert_eq!([read(), read(), read()], [Some(1), Some(2), None]);
        assert!(reader.room().is_some());
        assert_eq!(reader.catch_up(), Some(2));
        assert!(!reader.page(page(vec![tick(3)], 3), |_| panic!("nothing is missing")));
        reader.live(&tick(5));
        assert_eq!((reader.room().is_some(), reader.catch_up()), (true, Some(3)));
        // The server has sent 4 and 5 before.
        assert!(reader.page(page(Vec::new(), 3), |_| panic!("nothing is missing")));
        assert!(reader.room().is_none() && reader.has_asked());
        assert_eq!((read(), reader.catch_up()), (Some(3), Some(3)));
        assert!(!reader.page(page(vec![tick(4), tick(5)], 5), |_| panic!("nothing is missing")));
        assert_eq!([read(), read(), read()], [Some(4), Some(5), None]);
        assert!(!reader.has_asked());
    }
}
