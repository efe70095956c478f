//! A request on its way to the actor, and those that wait for their turn or their answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use dialogue::protocol::ErrorCode;
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use crate::{
    error::{Failed, Refusal},
    timers,
};

pub(crate) type Answer = Result<Box<RawValue>, Failed>;

/// What a handle asks the server for.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request's name.
    pub(crate) name: &'static str,
    pub(crate) payload: Box<RawValue>,
    /// Whether asking twice does no harm.
    pub(crate) repeatable: bool,
    /// Its turn, which whoever waits for the answer has.
    pub(crate) turn: Weak<OwnedSemaphorePermit>,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// Requests in the order in which they were made, until they are answered.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Entry>,
    /// The server asked to be left alone until then.
    paused: Option<Instant>,
    /// How many may be in flight: one after a refusal, more with each answer.
    window: usize,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    sent: Option<Sent>,
    /// When it was first sent without a clear answer: it may have happened.
    doubt: Option<Instant>,
}

/// What is in flight on this connection.
#[derive(Debug)]
struct Sent {
    id: u64,
    at: Instant,
    /// Others have theirs once this is answered, even if nobody waits for that any more.
    _turn: Option<Arc<OwnedSemaphorePermit>>,
}

/// How long to wait before asking again, unless the server says.
const AGAIN: Duration = Duration::from_millis(250);

/// For how long what may have happened is sent again: the server knows a key for two minutes.
const KNOWN: Duration = Duration::from_secs(100);

/// What the server refuses for the moment, and how long the moment is.
pub(crate) fn passes(refusal: &Refusal) -> Option<Duration> {
    let passes = [ErrorCode::RateLimited, ErrorCode::StoreUnavailable, ErrorCode::Draining];
    passes.contains(&refusal.code).then(|| refusal.retry_after.unwrap_or(AGAIN))
}

/// The server has taken the client out of the room.
pub(crate) fn is_gone(refusal: &Refusal) -> bool {
    [ErrorCode::NotInRoom, ErrorCode::RoomNotFound].contains(&refusal.code)
}

impl Entry {
    /// It is not in flight, and not to be sent: nobody waits for it, or it could happen twice.
    fn is_over(&self) -> bool {
        let is_forgotten = || self.doubt.is_some_and(|since| since.elapsed() > KNOWN);
        self.sent.is_none() && (self.request.reply.is_closed() || is_forgotten())
    }

    fn fail(self, why: Failed) {
        let _ = self.request.reply.send(Err(why));
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { queue: VecDeque::new(), paused: None, window: usize::MAX }
    }
}

impl Outbox {
    pub(crate) fn push(&mut self, request: Request) {
        self.tidy();
        self.queue.push_back(Entry { request, sent: None, doubt: None });
    }

    /// Sends what was not sent yet, in order, as far as the server takes it.
    pub(crate) fn flush(&mut self, mut send: impl FnMut(&Request) -> u64) {
        if self.paused.is_some() {
            return;
        }
        self.tidy();
        let in_flight = self.queue.iter().filter(|entry| entry.sent.is_some()).count();
        let waiting = self.queue.iter_mut().filter(|entry| entry.sent.is_none());
        for Entry { request, sent, .. } in waiting.take(self.window.saturating_sub(in_flight)) {
            let (id, at, turn) = (send(request), Instant::now(), request.turn.upgrade());
            *sent = Some(Sent { id, at, _turn: turn });
        }
    }

    /// Takes in an answer. Returns for how long the server wants to be left alone, if that is new:
    /// [`Outbox::resume`] is due then.
    pub(crate) fn answered(
        &mut self,
        id: u64,
        answer: Result<&RawValue, Refusal>,
    ) -> Option<Duration> {
        let is_it = |entry: &Entry| entry.sent.as_ref().is_some_and(|sent| sent.id == id);
        let index = self.queue.iter().position(is_it)?;
        let entry = &mut self.queue[index];
        if let Err(refusal) = &answer
            && let Some(pause) = passes(refusal)
            && entry.request.repeatable
        {
            let sent = entry.sent.take();
            if refusal.code == ErrorCode::StoreUnavailable {
                entry.doubt = entry.doubt.or(sent.map(|sent| sent.at));
            }
            let is_new = self.paused.is_none();
            (self.paused, self.window) = (self.paused.max(Some(timers::after(pause))), 1);
            return is_new.then_some(pause);
        }
        let Entry { request, .. } = self.queue.remove(index)?;
        self.window =
            if self.queue.is_empty() { usize::MAX } else { self.window.saturating_add(1) };
        let _ = request.reply.send(answer.map(ToOwned::to_owned).map_err(Into::into));
        None
    }

    /// Goes on, unless the server has asked for more time meanwhile: how much, is returned then.
    pub(crate) fn resume(&mut self) -> Option<Duration> {
        let left = self.paused?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.paused = None;
            return None;
        }
        Some(left)
    }

    /// There was no answer in time.
    pub(crate) fn timed_out(&mut self, id: u64) {
        self.unsend(|sent| sent == id, &Failed::Timeout);
    }

    /// The connection is no more.
    pub(crate) fn lost(&mut self) {
        self.paused = None;
        self.unsend(|_| true, &Failed::Disconnected);
    }

    /// What may be asked for twice is sent once more; the rest has failed.
    fn unsend(&mut self, which: impl Fn(u64) -> bool, why: &Failed) {
        for mut entry in std::mem::take(&mut self.queue) {
            if let Some(sent) = entry.sent.take_if(|sent| which(sent.id)) {
                if !entry.request.repeatable {
                    entry.fail(why.clone());
                    continue;
                }
                entry.doubt.get_or_insert(sent.at);
            }
            self.queue.push_back(entry);
        }
    }

    /// The connection is another user's now, whose keys are others: what may have happened is not sent
    /// again.
    pub(crate) fn change_user(&mut self) {
        self.fail_where(|entry| entry.doubt.is_some(), &Failed::Disconnected);
    }

    /// Nothing of this will be answered.
    pub(crate) fn fail(&mut self, why: &Failed) {
        self.fail_where(|_| true, why);
    }

    fn tidy(&mut self) {
        if self.queue.iter().any(Entry::is_over) {
            self.fail_where(Entry::is_over, &Failed::Timeout);
        }
    }

    fn fail_where(&mut self, which: impl Fn(&Entry) -> bool, why: &Failed) {
        for entry in std::mem::take(&mut self.queue) {
            if which(&entry) {
                entry.fail(why.clone());
            } else {
                self.queue.push_back(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dialogue::protocol::Failure;

    use super::*;

    type Reply = oneshot::Receiver<Answer>;

    fn push(outbox: &mut Outbox, repeatable: bool) -> Reply {
        let (reply, answer) = oneshot::channel();
        let payload = RawValue::NULL.to_owned();
        let turn = Weak::new();
        outbox.push(Request { name: "dialogue:trigger", payload, repeatable, turn, reply });
        answer
    }

    /// Sends, with ids that go on from one; returns how many.
    fn flush(outbox: &mut Outbox, id: &mut u64) -> u64 {
        let before = *id;
        outbox.flush(|_| {
            *id += 1;
            *id
        });
        *id - before
    }

    fn refusal(code: ErrorCode) -> Refusal {
        Failure::new(code, "no").into()
    }

    #[test]
    fn what_may_be_asked_twice_is_sent_again_after_a_loss_and_the_rest_fails() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut twice = push(&mut outbox, true);
        let mut once = push(&mut outbox, false);
        assert_eq!(flush(&mut outbox, &mut id), 2);
        assert_eq!(flush(&mut outbox, &mut id), 0);
        outbox.lost();
        assert!(matches!(once.try_recv(), Ok(Err(Failed::Disconnected))));
        assert_eq!(flush(&mut outbox, &mut id), 1);
        // The answer to the first attempt is nobody's.
        assert_eq!(outbox.answered(1, Ok(RawValue::TRUE)), None);
        assert!(twice.try_recv().is_err());
        assert_eq!(outbox.answered(3, Ok(RawValue::TRUE)), None);
        assert_eq!(twice.try_recv().unwrap().unwrap().get(), "true");
    }

    #[test]
    fn a_refusal_that_passes_holds_everything_back_for_as_long_as_it_says() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut answer = push(&mut outbox, true);
        flush(&mut outbox, &mut id);
        let mut limited = refusal(ErrorCode::RateLimited);
        limited.retry_after = Some(Duration::from_secs(3));
        assert_eq!(outbox.answered(1, Err(limited)), Some(Duration::from_secs(3)));
        let _next = push(&mut outbox, true);
        assert_eq!(flush(&mut outbox, &mut id), 0);
        assert!(outbox.resume().unwrap() > Duration::from_secs(2));
        assert_eq!(flush(&mut outbox, &mut id), 0);
        outbox.paused = Some(Instant::now());
        assert_eq!(outbox.resume(), None);
        assert_eq!(flush(&mut outbox, &mut id), 1);
        assert_eq!(outbox.answered(2, Err(refusal(ErrorCode::EventDenied))), None);
        assert!(matches!(answer.try_recv(), Ok(Err(Failed::Refused(_)))));
    }

    #[test]
    fn of_many_refusals_the_latest_end_counts_and_is_waited_for_once() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let _answers: Vec<_> = (0..3).map(|_| push(&mut outbox, true)).collect();
        assert_eq!(flush(&mut outbox, &mut id), 3);
        let mut limited = refusal(ErrorCode::RateLimited);
        let mut refuse = |id, seconds| {
            limited.retry_after = Some(Duration::from_secs(seconds));
            outbox.answered(id, Err(limited.clone())).is_some()
        };
        assert!(refuse(1, 1) && !refuse(2, 9) && !refuse(3, 1));
        assert!(outbox.resume().unwrap() > Duration::from_secs(8));
    }

    #[test]
    fn after_a_refusal_few_are_in_flight_and_more_with_each_answer() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let _answers: Vec<_> = (0..6).map(|_| push(&mut outbox, true)).collect();
        assert_eq!(flush(&mut outbox, &mut id), 6);
        for id in 1..=6 {
            outbox.answered(id, Err(refusal(ErrorCode::RateLimited)));
        }
        outbox.paused = None;
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(7, Ok(RawValue::TRUE));
        assert_eq!(flush(&mut outbox, &mut id), 2);
        outbox.answered(8, Ok(RawValue::TRUE));
        assert_eq!(flush(&mut outbox, &mut id), 2);
        for sent in 9..=12 {
            outbox.answered(sent, Ok(RawValue::TRUE));
            flush(&mut outbox, &mut id);
        }
        assert!(outbox.queue.is_empty());
        let _answers: Vec<_> = (0..6).map(|_| push(&mut outbox, true)).collect();
        assert_eq!(flush(&mut outbox, &mut id), 6);
    }

    #[test]
    fn what_may_have_happened_is_not_sent_again_once_the_server_has_forgotten_its_key() {
        for may_have_happened in [true, false] {
            let (mut outbox, mut id) = (Outbox::default(), 0);
            let mut answer = push(&mut outbox, true);
            flush(&mut outbox, &mut id);
            outbox.queue[0].sent.as_mut().unwrap().at -= KNOWN;
            let code = [ErrorCode::RateLimited, ErrorCode::StoreUnavailable];
            outbox.answered(1, Err(refusal(code[usize::from(may_have_happened)])));
            outbox.paused = None;
            assert_eq!(flush(&mut outbox, &mut id), u64::from(!may_have_happened));
            assert_eq!(matches!(answer.try_recv(), Ok(Err(Failed::Timeout))), may_have_happened);
        }
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut answer = push(&mut outbox, true);
        flush(&mut outbox, &mut id);
        outbox.queue[0].sent.as_mut().unwrap().at -= KNOWN;
        outbox.lost();
        assert_eq!(flush(&mut outbox, &mut id), 0);
        assert!(matches!(answer.try_recv(), Ok(Err(Failed::Timeout))));
    }

    #[test]
    fn a_turn_is_over_when_the_server_has_answered_whoever_waits() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let turns = Arc::new(tokio::sync::Semaphore::new(1));
        let take_turn = || Arc::new(turns.clone().try_acquire_owned().unwrap());
        let ask = |outbox: &mut Outbox, turn: &Arc<OwnedSemaphorePermit>| {
            let answer = push(outbox, true);
            outbox.queue.back_mut().unwrap().request.turn = Arc::downgrade(turn);
            answer
        };
        let turn = take_turn();
        drop((ask(&mut outbox, &turn), turn));
        let turn = take_turn();
        let answer = ask(&mut outbox, &turn);
        assert_eq!(flush(&mut outbox, &mut id), 1);
        drop((answer, turn));
        assert_eq!(turns.available_permits(), 0);
        outbox.answered(1, Ok(RawValue::TRUE));
        assert_eq!(turns.available_permits(), 1);
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        drop(push(&mut outbox, true));
        let _kept = push(&mut outbox, true);
        assert_eq!(flush(&mut outbox, &mut id), 1);
    }
}
