//! A room, as the connection's task keeps it: joined again and again, with its place and its streams.

mod following;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use dialogue::protocol::{ErrorCode, Join, Joined, Since, event};
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};

use crate::{
    RoomState, answer,
    core::{Core, Waiter},
    error::{Failed, Refusal},
    feed::{Listeners, lock},
    hub::Hub,
    link::{About, Due, Link, Need, Patience, RoomId},
    place::{At, End, Missed, Place},
    reader::Reader,
    request::{Loss, Outbox, Request, passes},
};

/// How many messages are held while something is fetched that comes before them.
const HOLD: usize = 256;
/// How many events to fetch at once.
const PAGE: usize = 100;
/// How long a room stays joined that nobody uses.
const UNUSED: Duration = Duration::from_secs(1);
/// How long to wait before asking again, if the server does not say: twice as long after each refusal, up
/// to the latter.
pub(crate) const AGAIN: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(5);

pub(crate) struct Membership {
    id: RoomId,
    core: Weak<Core>,
    name: String,
    state: watch::Sender<RoomState>,
    /// Who waits for the first answer.
    waiting: Vec<Waiter>,
    /// Whether this connection is in the room.
    joined: bool,
    /// What was reached; none before the first answer.
    place: Option<Place>,
    subscriptions: Vec<Cow<'static, str>>,
    /// Names of the room's events that are stored.
    stored: Vec<Cow<'static, str>>,
    readers: Vec<Reader>,
    made: u64,
    outbox: Outbox,
    /// What the server refuses, for now.
    refused: Vec<Refused>,
    /// How long a join and a page of missed events may take.
    patience: Patience,
}

struct Refused {
    need: Need,
    code: ErrorCode,
    times: u32,
}

/// Why a room is not kept any more.
pub(crate) struct Over(pub(crate) Failed);

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl Membership {
    pub(crate) fn new(id: RoomId) -> Self {
        Self {
            id,
            core: Weak::new(),
            name: String::new(),
            state: watch::Sender::new(RoomState::Rejoining),
            waiting: Vec::new(),
            joined: false,
            place: None,
            subscriptions: Vec::new(),
            stored: Vec::new(),
            readers: Vec::new(),
            made: 0,
            outbox: Outbox::default(),
            refused: Vec::new(),
            patience: Patience::default(),
        }
    }

    /// Gives somebody a handle: at once, if the room was ever joined.
    pub(crate) fn give(&mut self, waiter: Waiter, hub: &Hub) {
        self.waiting.push(waiter);
        if self.place.is_some() {
            self.hand_out(hub);
        }
    }

    fn hand_out(&mut self, hub: &Hub) {
        let core = self.core.upgrade().unwrap_or_else(|| {
            Arc::new(Core {
                id: self.id.clone(),
                name: self.name.clone(),
                state: self.state.subscribe(),
                resets: Listeners::new(),
                opened: Mutex::default(),
                attention: hub.attention.clone(),
            })
        });
        self.core = Arc::downgrade(&core);
        for waiter in self.waiting.drain(..) {
            let _ = waiter.send(Ok(core.clone()));
        }
    }

    /// Whether it was ever joined.
    pub(crate) fn was_joined(&self) -> bool {
        self.place.is_some()
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.core.strong_count() == 0 && self.waiting.iter().all(oneshot::Sender::is_closed)
    }

    /// Joins, or joins again with the position that was reached. It asks for the room's defaults, and names the
    /// events of all open streams, because the defaults may have changed.
    pub(crate) fn join(&mut self, link: &mut Link) {
        self.open(link);
        let names: BTreeSet<_> = self.wanted().map(str::to_owned).collect();
        let defaults = !names.is_empty();
        let subscribe = defaults.then(|| names.into_iter().collect());
        let at = self.place.as_ref().map(Place::since);
        let since = at.map(|at| Since { epoch: at.epoch.to_string().into(), seq: at.seq });
        let limit = match at {
            // The app reads the history itself.
            None => Some(0),
            Some(_) if self.patience == Patience::default() => None,
            Some(_) => Some(self.patience.events(PAGE)),
        };
        let join = Join { room_id: (&*self.id).into(), subscribe, defaults, since, limit };
        link.ask_patiently(event::JOIN, &join, self.about(Need::Join), self.patience);
    }

    /// Takes in an answer to what was asked.
    pub(crate) fn answer(
        &mut self,
        id: u64,
        need: Need,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        if answer.is_ok() {
            self.refused.retain(|it| it.need != need);
        }
        match need {
            Need::Join => self.on_joined(answer, link, hub),
            Need::Fetch => self.on_page(answer, link, hub),
            Need::CatchUp(stream) => self.on_stream_page(stream, answer, link, hub),
            Need::Subscribe(event) => self.on_subscribed(&event, answer, link, hub),
            Need::Request => {
                match self.outbox.answered(id, answer) {
                    Some(pause) => self.later(pause, need, link),
                    None => self.flush(link),
                }
                Ok(())
            }
        }
    }

    /// There was no answer in time: asks once more.
    pub(crate) fn unanswered(&mut self, id: u64, need: Need, link: &mut Link) {
        match need {
            Need::Request => {
                self.outbox.timed_out(id);
                return self.flush(link);
            }
            Need::Join | Need::Fetch => self.patience.double(),
            Need::CatchUp(stream) => {
                let readers = self.readers.iter_mut().filter(|reader| reader.id == stream);
                readers.for_each(|reader| reader.patience.double());
            }
            Need::Subscribe(_) => {}
        }
        self.again(need, link);
    }

    pub(crate) fn about(&self, need: Need) -> About {
        About::Room(self.id.clone(), need)
    }

    fn later(&self, wait: Duration, need: Need, link: &mut Link) {
        link.timers.after(wait, Due::Again(self.about(need)));
    }

    fn on_joined(
        &mut self,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        let joined = match answer.map(answer::read::<Joined<'_>>) {
            Ok(Ok(joined)) => joined,
            Ok(Err(unreadable)) => return Err(Over(unreadable)),
            Err(refusal) => return self.on_refused(refusal, link, hub),
        };
        let Joined { room_name, subscriptions, unknown_events, .. } = joined;
        let Joined { stored, recovered, last, events, more, .. } = joined;
        let at = At { epoch: joined.epoch, seq: joined.seq };
        self.open(link);
        self.joined = true;
        self.refused.clear();
        let before = self.followed();
        (self.name, self.subscriptions) = (room_name.into(), subscriptions.into_owned());
        self.stored = stored.into_owned();
        self.state.send_replace(RoomState::Joined);
        unknown_events.iter().for_each(|event| self.lack(event, hub));
        self.note_subscribed();
        self.subscribe_to_rest(link);
        let followed = self.followed_besides(&before);
        match &mut self.place {
            Some(place) => {
                let events = || Missed { events: events.into_owned(), more };
                let recovered = (recovered == Some(true)).then(events);
                let end = End { at, last: last.unwrap_or_default() };
                let steps = place.joined(end, recovered, followed);
                self.take(steps, link, hub);
            }
            None => self.place = Some(Place::new(at, followed, HOLD)),
        }
        self.calm();
        self.hand_out(hub);
        self.look(link, hub);
        self.flush(link);
        Ok(())
    }

    /// A room that was joined before is asked for again, where that may help; the connection before this
    /// one may still count as a member.
    fn on_refused(&mut self, refusal: Refusal, link: &mut Link, hub: &Hub) -> Result<(), Over> {
        if !self.was_joined() {
            return Err(refusal.into());
        }
        let passing = [ErrorCode::RoomFull, ErrorCode::LimitExceeded, ErrorCode::Internal];
        if passes(&refusal).is_none() && !passing.contains(&refusal.code) {
            return Err(refusal.into());
        }
        self.put_off(refusal, Need::Join, link, hub)
    }

    pub(crate) fn request(&mut self, request: Request, link: &mut Link) {
        // Whoever opened a stream first hears what comes of this.
        self.open(link);
        self.outbox.push(request);
        self.flush(link);
    }

    /// The connection is another user's now.
    pub(crate) fn change_user(&mut self) {
        self.outbox.change_user();
    }

    pub(crate) fn flush(&mut self, link: &mut Link) {
        if self.joined {
            let id = &self.id;
            let about = || About::Room(id.clone(), Need::Request);
            let is_clear = link.is_clear();
            let ask = |it: &Request| link.ask_raw(it.name, &it.payload, about());
            let is_held = self.outbox.flush(is_clear, ask);
            link.is_held |= is_held;
        }
    }

    /// The connection is no more.
    pub(crate) fn lost(&mut self, loss: Loss) {
        self.joined = false;
        self.state.send_replace(RoomState::Rejoining);
        self.outbox.lost(loss);
        self.readers.iter_mut().for_each(Reader::lost);
    }

    /// The room is not kept any more.
    pub(crate) fn end(mut self, why: &Failed) {
        for waiter in self.waiting.drain(..) {
            let _ = waiter.send(Err(why.clone()));
        }
        self.outbox.fail(why);
        // In this order: whoever opens a stream looks at the state under the lock.
        self.state.send_replace(RoomState::Left);
        if let Some(core) = self.core.upgrade() {
            core.resets.end();
            lock(&core.opened).clear();
        }
    }
}
