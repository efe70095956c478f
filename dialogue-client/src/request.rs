//! A request on its way to the actor, and those that wait for their turn or their answer.

use std::{collections::VecDeque, time::Duration};

use dialogue::protocol::ErrorCode;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::error::{Failed, Refusal};

pub(crate) type Answer = Result<Box<RawValue>, Failed>;

/// What a handle asks the server for.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request's name.
    pub(crate) name: &'static str,
    pub(crate) payload: Box<RawValue>,
    /// Whether asking twice does no harm.
    pub(crate) repeatable: bool,
    pub(crate) reply: oneshot::Sender<Answer>,
}

impl Request {
    /// Nobody waits for it any more.
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Requests in the order in which they were made, until they are answered.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Entry>,
    /// The server asked to wait.
    paused: bool,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    /// The id that it was sent with, on this connection.
    sent: Option<u64>,
    /// Whether it was ever sent: then, it may have happened.
    tried: bool,
}

/// How long to wait before asking again, unless the server says.
const AGAIN: Duration = Duration::from_millis(250);

/// What the server refuses for the moment, and how long the moment is.
pub(crate) fn passes(refusal: &Refusal) -> Option<Duration> {
    let passes = [ErrorCode::RateLimited, ErrorCode::StoreUnavailable, ErrorCode::Draining];
    passes.contains(&refusal.code).then(|| refusal.retry_after.unwrap_or(AGAIN))
}

impl Outbox {
    pub(crate) fn push(&mut self, request: Request) {
        // Whoever gave up has left room for another one.
        self.queue.retain(|entry| entry.sent.is_some() || !entry.request.is_abandoned());
        self.queue.push_back(Entry { request, sent: None, tried: false });
    }

    /// Sends what was not sent yet, in order.
    pub(crate) fn flush(&mut self, mut send: impl FnMut(&Request) -> u64) {
        if self.paused {
            return;
        }
        self.queue.retain(|entry| entry.sent.is_some() || !entry.request.is_abandoned());
        for entry in &mut self.queue {
            if entry.sent.is_none() {
                (entry.sent, entry.tried) = (Some(send(&entry.request)), true);
            }
        }
    }

    /// Takes in an answer. Returns for how long the server wants to be left alone, which ends with
    /// [`Outbox::resume`].
    pub(crate) fn answered(
        &mut self,
        id: u64,
        answer: Result<&RawValue, Refusal>,
    ) -> Option<Duration> {
        let index = self.queue.iter().position(|entry| entry.sent == Some(id))?;
        let pause = answer.as_ref().err().and_then(passes);
        let entry = &mut self.queue[index];
        if let Some(pause) = pause.filter(|_| entry.request.repeatable) {
            entry.sent = None;
            self.paused = true;
            return Some(pause);
        }
        let Entry { request, .. } = self.queue.remove(index)?;
        let _ = request.reply.send(answer.map(ToOwned::to_owned).map_err(Into::into));
        None
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    /// There was no answer in time.
    pub(crate) fn timed_out(&mut self, id: u64) {
        self.unsend(|sent| sent == id, || Failed::Timeout);
    }

    /// The connection is no more.
    pub(crate) fn lost(&mut self) {
        self.paused = false;
        self.unsend(|_| true, || Failed::Disconnected);
    }

    /// What may be asked for twice is sent once more; the rest has failed.
    fn unsend(&mut self, which: impl Fn(u64) -> bool, error: impl Fn() -> Failed) {
        for mut entry in std::mem::take(&mut self.queue) {
            if entry.sent.is_some_and(&which) {
                if !entry.request.repeatable {
                    let _ = entry.request.reply.send(Err(error()));
                    continue;
                }
                entry.sent = None;
            }
            self.queue.push_back(entry);
        }
    }

    /// The connection is another user's now, whose keys are others: what was tried is not sent again.
    pub(crate) fn change_user(&mut self) {
        for entry in std::mem::take(&mut self.queue) {
            if entry.tried {
                let _ = entry.request.reply.send(Err(Failed::Disconnected));
            } else {
                self.queue.push_back(entry);
            }
        }
    }

    /// Nothing of this will be answered.
    pub(crate) fn fail(&mut self, error: impl Fn() -> Failed) {
        for entry in self.queue.drain(..) {
            let _ = entry.request.reply.send(Err(error()));
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
        outbox.push(Request { name: "dialogue:trigger", payload, repeatable, reply });
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
        outbox.resume();
        assert_eq!(flush(&mut outbox, &mut id), 2);
        assert_eq!(outbox.answered(2, Err(refusal(ErrorCode::EventDenied))), None);
        assert!(matches!(answer.try_recv(), Ok(Err(Failed::Refused(_)))));
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let (mut outbox, mut id) = (Outbox::default(), 0);
        drop(push(&mut outbox, true));
        let _kept = push(&mut outbox, true);
        assert_eq!(flush(&mut outbox, &mut id), 1);
    }
}
