//! A request on its way to the actor, and those that wait for their turn or their answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use dialogue::protocol::{ErrorCode, event};
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use crate::{
    error::{Failed, Refusal, TooLarge},
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
    /// A connection was lost while it was in flight, and it is long: it may be why.
    is_suspect: bool,
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

/// A longer payload may be why a connection is lost, in bytes: a proxy, or an older server, has a limit that it
/// does not say. It is sent alone then, and given up where the server does not say its limit.
pub(crate) const LONG: usize = 65_536;

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

/// How a connection was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    /// Whether the server said how long a message may be.
    pub(crate) is_limit_known: bool,
    /// The message of the server that was longer than this client takes.
    pub(crate) too_long: Option<TooLarge>,
    /// Whether one request alone, of all rooms, may be the cause.
    pub(crate) alone: bool,
}

impl Loss {
    /// Whether a request that was in flight may be the cause. The answer to a trigger is short.
    fn suspects(&self, request: &Request) -> bool {
        match self.too_long {
            Some(_) => request.name != event::TRIGGER,
            None => request.is_long(),
        }
    }

    /// Why a request that was in flight is not sent again, if it is not.
    fn failure(&self, request: &Request, was_suspect: bool) -> Option<Failed> {
        let is_cause = was_suspect && self.alone && self.suspects(request);
        match self.too_long {
            Some(TooLarge { size, limit }) if is_cause => Some(Failed::Unreadable(format!(
                "it has {size} bytes, and this client takes up to {limit}; raise \
                 `Builder::max_message_bytes`"
            ))),
            None if is_cause && !self.is_limit_known => Some(Failed::Disconnected),
            _ if request.repeatable => None,
            _ => Some(Failed::Disconnected),
        }
    }
}

impl Request {
    /// Whether a connection may be lost because of its length.
    fn is_long(&self) -> bool {
        self.payload.get().len() > LONG
    }
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
        self.queue.push_back(Entry { request, sent: None, doubt: None, is_suspect: false });
    }

    /// Sends the waiting requests in order, as many as may be in flight. A suspect is sent once nothing else of this
    /// outbox is in flight and `is_clear`: nothing else on the connection may be why it is lost. Further requests
    /// wait for its answer. A request that is too large fails. Returns whether a suspect waits for the rest of the
    /// connection.
    pub(crate) fn flush(
        &mut self,
        is_clear: bool,
        mut send: impl FnMut(&Request) -> Result<u64, TooLarge>,
    ) -> bool {
        if self.paused.is_some() {
            return false;
        }
        self.tidy();
        let mut in_flight = self.queue.iter().filter(|entry| entry.sent.is_some()).count();
        let mut next = 0;
        while let Some(Entry { request, sent, is_suspect, .. }) = self.queue.get_mut(next) {
            if sent.is_none() {
                if in_flight >= self.window || (*is_suspect && in_flight > 0) {
                    return false;
                }
                if *is_suspect && !is_clear {
                    return true;
                }
                match send(request) {
                    Ok(id) => {
                        let (at, turn) = (Instant::now(), request.turn.upgrade());
                        *sent = Some(Sent { id, at, _turn: turn });
                        in_flight += 1;
                    }
                    Err(too_large) => {
                        if let Some(entry) = self.queue.remove(next) {
                            entry.fail(Failed::TooLarge(too_large));
                        }
                        continue;
                    }
                }
            }
            if *is_suspect {
                return false;
            }
            next += 1;
        }
        false
    }

    /// The name of the request that was sent with an id.
    pub(crate) fn name_of(&self, id: u64) -> Option<&'static str> {
        let is_it = |entry: &&Entry| entry.sent.as_ref().is_some_and(|sent| sent.id == id);
        self.queue.iter().find(is_it).map(|entry| entry.request.name)
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
        self.unsend(|sent| sent == id, None);
    }

    /// The connection is no more. Where the server does not say its limit, a long request is sent alone once; so is a
    /// request whose answer may have been too long.
    pub(crate) fn lost(&mut self, loss: Loss) {
        self.paused = None;
        self.unsend(|_| true, Some(loss));
    }

    /// What may be asked for twice is sent once more; the rest has failed.
    fn unsend(&mut self, which: impl Fn(u64) -> bool, loss: Option<Loss>) {
        for mut entry in std::mem::take(&mut self.queue) {
            if let Some(sent) = entry.sent.take_if(|sent| which(sent.id)) {
                let was_suspect = entry.is_suspect;
                entry.is_suspect |= loss.is_some_and(|loss| loss.suspects(&entry.request));
                let why = match loss {
                    None if entry.request.repeatable => None,
                    None => Some(Failed::Timeout),
                    Some(loss) => loss.failure(&entry.request, was_suspect),
                };
                if let Some(why) = why {
                    entry.fail(why);
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
        outbox.flush(true, |_| {
            *id += 1;
            Ok(*id)
        });
        *id - before
    }

    fn loss(is_limit_known: bool) -> Loss {
        Loss { is_limit_known, too_long: None, alone: true }
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
        outbox.lost(loss(false));
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
        outbox.lost(loss(false));
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
    fn long_request_whose_connection_is_lost_is_sent_once_more_alone() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut first = push(&mut outbox, true);
        let mut long = push(&mut outbox, true);
        let text = "x".repeat(LONG);
        outbox.queue[1].request.payload = serde_json::value::to_raw_value(&text).unwrap();
        let mut last = push(&mut outbox, true);
        assert_eq!(flush(&mut outbox, &mut id), 3);
        outbox.lost(loss(false));
        // Not before what is in flight is answered, and nothing behind it.
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(4, Ok(RawValue::TRUE));
        assert!(first.try_recv().is_ok());
        assert_eq!(flush(&mut outbox, &mut id), 1);
        assert_eq!(flush(&mut outbox, &mut id), 0);
        outbox.lost(loss(false));
        assert!(matches!(long.try_recv(), Ok(Err(Failed::Disconnected))));
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(6, Ok(RawValue::TRUE));
        assert!(last.try_recv().unwrap().is_ok());
    }

    #[test]
    fn long_request_within_the_known_limit_is_sent_again_after_each_lost_connection() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut long = push(&mut outbox, true);
        let text = "x".repeat(LONG);
        outbox.queue[0].request.payload = serde_json::value::to_raw_value(&text).unwrap();
        for sent in 1..=5 {
            assert_eq!(flush(&mut outbox, &mut id), 1);
            assert_eq!(id, sent);
            outbox.lost(loss(true));
        }
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(6, Ok(RawValue::TRUE));
        assert!(long.try_recv().unwrap().is_ok());
    }

    #[test]
    fn request_whose_answer_is_too_long_twice_fails_with_the_bound_and_takes_no_other_along() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut long = push(&mut outbox, true);
        let mut short = push(&mut outbox, true);
        let mut trigger = push(&mut outbox, true);
        for index in 0..2 {
            outbox.queue[index].request.name = event::GET_HISTORY;
        }
        let too_large = Some(TooLarge { size: 9, limit: 5 });
        let too_long = Loss { is_limit_known: true, too_long: too_large, alone: true };
        assert_eq!(flush(&mut outbox, &mut id), 3);
        outbox.lost(Loss { alone: false, ..too_long });
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.lost(too_long);
        let Ok(Err(Failed::Unreadable(why))) = long.try_recv() else { panic!("it is too long") };
        assert!(why.contains("9 bytes") && why.contains("up to 5"), "{why}");
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(5, Ok(RawValue::TRUE));
        assert!(short.try_recv().unwrap().is_ok());
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(6, Ok(RawValue::TRUE));
        assert!(trigger.try_recv().unwrap().is_ok());
    }

    #[test]
    fn request_that_is_in_flight_with_others_does_not_fail_for_a_message_that_is_too_long() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        let mut answer = push(&mut outbox, true);
        outbox.queue[0].request.name = event::GET_HISTORY;
        let too_large = Some(TooLarge { size: 9, limit: 5 });
        let too_long = Loss { is_limit_known: true, too_long: too_large, alone: false };
        for sent in 1..=3 {
            assert_eq!((flush(&mut outbox, &mut id), id), (1, sent));
            outbox.lost(too_long);
        }
        // It waits for what else is in flight on the connection.
        assert!(outbox.flush(false, |_| unreachable!("it is not sent")));
        assert_eq!(flush(&mut outbox, &mut id), 1);
        outbox.answered(4, Ok(RawValue::TRUE));
        assert!(answer.try_recv().unwrap().is_ok());
    }

    #[test]
    fn request_that_is_too_large_fails_and_takes_nothing_along() {
        let mut outbox = Outbox::default();
        let mut answers: Vec<_> = (0..3).map(|_| push(&mut outbox, true)).collect();
        let too_large = TooLarge { size: 2, limit: 1 };
        let mut asked = 0;
        outbox.flush(true, |_| {
            asked += 1;
            if asked == 2 { Err(too_large) } else { Ok(asked) }
        });
        let failed = answers[1].try_recv();
        assert!(matches!(failed, Ok(Err(Failed::TooLarge(it))) if it == too_large));
        for (answer, id) in [(0, 1), (2, 3)] {
            outbox.answered(id, Ok(RawValue::TRUE));
            assert!(answers[answer].try_recv().unwrap().is_ok());
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        drop(push(&mut outbox, true));
        let _kept = push(&mut outbox, true);
        assert_eq!(flush(&mut outbox, &mut id), 1);
    }
}
