//! A room, as the connection's task keeps it: joined again and again, with its place and its streams.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use dialogue::{
    EVERY_EVENT, RawMessage,
    protocol::{ErrorCode, GetHistory, Join, Since, Subscribe, event},
};
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};

use crate::{
    Reset, RoomState,
    answer::{self, Joined, Subscriptions},
    connection::Hub,
    error::{ClientError, Refusal, RequestError},
    feed::{Listeners, lock},
    link::{About, Due, Link, RoomId},
    place::{At, Place, Range, Step},
    request::{Outbox, Request, passes},
    room::Core,
    stream::Reader,
};

/// How many messages are held while something is fetched that comes before them.
const HOLD: usize = 256;
/// How many events to fetch at once.
const PAGE: usize = 100;
/// How long a room stays joined that nobody uses.
const UNUSED: Duration = Duration::from_secs(1);
/// How long to wait before a room is asked for again, if the server does not say.
const AGAIN: Duration = Duration::from_millis(500);

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
    /// Whether what is missing was asked for.
    fetching: bool,
    subscriptions: Vec<String>,
    readers: Vec<Reader>,
    made: u64,
    outbox: Outbox,
}

pub(crate) type Waiter = oneshot::Sender<Result<Arc<Core>, RequestError>>;

/// Why a room is not kept any more.
pub(crate) struct Over(pub(crate) Refusal);

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
            fetching: false,
            subscriptions: Vec::new(),
            readers: Vec::new(),
            made: 0,
            outbox: Outbox::default(),
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

    /// Joins, or joins again with the place that was reached.
    pub(crate) fn join(&mut self, link: &mut Link) {
        let at = self.place.as_ref().map(Place::at);
        let subscribe = at.map(|_| {
            let listened = self.readers.iter().map(|reader| reader.event);
            let missing = listened.filter(|event| !self.is_subscribed(event));
            self.subscriptions.iter().cloned().chain(missing.map(str::to_owned)).collect()
        });
        let since = at.map(|at| Since { epoch: at.epoch.to_string().into(), seq: at.seq });
        let join = Join { room_id: (&*self.id).into(), subscribe, since };
        link.ask(event::JOIN, &join, About::Join(self.id.clone()));
    }

    /// Takes in an answer to what was asked.
    pub(crate) fn answer(
        &mut self,
        id: u64,
        about: &About,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        match about {
            About::Join(_) => self.on_joined(answer, link, hub),
            About::Fetch(_) => self.on_page(answer, link, hub),
            About::CatchUp(_, stream) => self.on_stream_page(*stream, answer, link, hub),
            About::Subscribe(_, event) => self.on_subscribed(event, answer, link, hub),
            About::Request(_) | About::Leave | About::Refresh => {
                if let Some(pause) = self.outbox.answered(id, answer) {
                    link.timers.after(pause, Due::Again(about.clone()));
                }
                Ok(())
            }
        }
    }

    /// There was no answer in time: asks once more.
    pub(crate) fn unanswered(&mut self, id: u64, about: &About, link: &mut Link) {
        if let About::Request(_) = about {
            self.outbox.timed_out(id);
            self.flush(link);
        } else {
            self.again(about, link);
        }
    }

    fn on_joined(
        &mut self,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        let joined = match answer.map(answer::read::<Joined>) {
            Ok(Ok(joined)) => joined,
            Ok(Err(_)) => return Err(Over(Refusal::parse("the answer to a join cannot be read"))),
            Err(refusal) => return self.on_refused(refusal, link),
        };
        let Joined { room_name, subscriptions, epoch, seq, recovered, events } = joined;
        let at = At { epoch, seq };
        (self.joined, self.fetching) = (true, false);
        (self.name, self.subscriptions) = (room_name, subscriptions);
        self.state.send_replace(RoomState::Joined);
        match &mut self.place {
            Some(place) => {
                let events = events.into_iter().map(Arc::new).collect();
                let steps = place.joined(at, recovered, events);
                self.take(steps, link, hub);
            }
            // What the room sends of the past is for whoever reads history.
            None => self.place = Some(Place::new(at, HOLD)),
        }
        self.hand_out(hub);
        self.look(link, hub);
        self.make_room(hub);
        self.flush(link);
        Ok(())
    }

    /// A room that was joined before is asked for again, where that may help; the connection before this
    /// one may still count as a member.
    fn on_refused(&mut self, refusal: Refusal, link: &mut Link) -> Result<(), Over> {
        let passing = [
            ErrorCode::RoomFull,
            ErrorCode::LimitExceeded,
            ErrorCode::Internal,
            ErrorCode::Draining,
        ];
        let wait = passes(&refusal)
            .or_else(|| passing.contains(&refusal.code).then_some(AGAIN))
            .filter(|_| self.place.is_some());
        let Some(wait) = wait else { return Err(Over(refusal)) };
        link.timers.after(wait.max(AGAIN), Due::Again(About::Join(self.id.clone())));
        Ok(())
    }

    /// An event happened in the room.
    pub(crate) fn on_event(&mut self, message: RawMessage, link: &mut Link, hub: &Hub) {
        if let Some(place) = self.place.as_mut().filter(|_| self.joined) {
            let steps = place.live(Arc::new(message));
            self.take(steps, link, hub);
        }
    }

    /// The server says where the log ends.
    pub(crate) fn on_position(&mut self, at: At, link: &mut Link, hub: &Hub) {
        if let Some(place) = self.place.as_mut().filter(|_| self.joined) {
            let steps = place.position(at);
            self.take(steps, link, hub);
        }
    }

    /// What was missing.
    fn on_page(
        &mut self,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        self.fetching = false;
        match range(answer) {
            Ok(range) => {
                if let Some(place) = &mut self.place {
                    let steps = place.page(range);
                    self.take(steps, link, hub);
                }
                Ok(())
            }
            Err(refusal) => put_off(refusal, About::Fetch(self.id.clone()), link),
        }
    }

    /// What a stream did not have room for.
    fn on_stream_page(
        &mut self,
        id: u64,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else {
            return Ok(());
        };
        match range(answer) {
            Ok(range) => {
                if let Some(at) = reader.page(range) {
                    let event = Some(reader.event.into());
                    self.tell_reset(&Reset { at, event });
                }
                self.make_room(hub);
                Ok(())
            }
            Err(refusal) => put_off(refusal, About::CatchUp(self.id.clone(), id), link),
        }
    }

    fn on_subscribed(
        &mut self,
        event: &Arc<str>,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        match answer.map(answer::read::<Subscriptions>) {
            Ok(Ok(Subscriptions { subscriptions })) => self.subscriptions = subscriptions,
            Ok(Err(_)) => {}
            Err(refusal) if passes(&refusal).is_some() || is_gone(&refusal) => {
                return put_off(refusal, About::Subscribe(self.id.clone(), event.clone()), link);
            }
            Err(refusal) => hub
                .errors
                .tell(&Arc::new(ClientError::Room { room_id: self.id.to_string(), refusal })),
        }
        Ok(())
    }

    /// Does once more what was put off, or not answered.
    pub(crate) fn again(&mut self, what: &About, link: &mut Link) {
        match what {
            About::Join(_) if !self.joined && link.is_up() => self.join(link),
            About::Fetch(_) if self.joined => {
                self.fetching = false;
                if let Some(place) = self.place.as_ref().filter(|place| place.is_behind()) {
                    let after = place.at().seq;
                    self.fetch(after, link);
                }
            }
            About::CatchUp(_, id) => self.catch_up(*id, link),
            About::Subscribe(_, event) if self.joined => self.subscribe(event, link),
            About::Request(_) => {
                self.outbox.resume();
                self.flush(link);
            }
            _ => {}
        }
    }

    /// Asks for what a stream has room for now.
    pub(crate) fn catch_up(&mut self, id: u64, link: &mut Link) {
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else { return };
        if !self.joined {
            reader.idle();
        } else if let Some(after) = reader.catch_up() {
            let (event, limit) = (Some(reader.event), reader.page);
            let about = About::CatchUp(self.id.clone(), id);
            link.ask(event::GET_HISTORY, &history(&self.id, event, after, limit), about);
        }
    }

    fn fetch(&mut self, after: u64, link: &mut Link) {
        if !std::mem::replace(&mut self.fetching, true) {
            let about = About::Fetch(self.id.clone());
            link.ask(event::GET_HISTORY, &history(&self.id, None, after, PAGE), about);
        }
    }

    fn subscribe(&self, event: &Arc<str>, link: &mut Link) {
        let request = Subscribe { room_id: (&*self.id).into(), event_name: (&**event).into() };
        link.ask(event::SUBSCRIBE, &request, About::Subscribe(self.id.clone(), event.clone()));
    }

    fn is_subscribed(&self, event: &str) -> bool {
        self.subscriptions.iter().any(|own| own == event || own == EVERY_EVENT)
    }

    /// Does what the place says.
    fn take(&mut self, steps: Vec<Step>, link: &mut Link, hub: &Hub) {
        self.open(link);
        for step in steps {
            match step {
                Step::Deliver(message) => {
                    for reader in &mut self.readers {
                        if message.event == reader.event {
                            reader.live(&message);
                        }
                    }
                }
                Step::Fetch { after } => self.fetch(after, link),
                Step::Reset(at) => {
                    for reader in &mut self.readers {
                        self.made += 1;
                        reader.reset(self.made, at);
                    }
                    self.tell_reset(&Reset { at, event: None });
                }
            }
        }
        self.make_room(hub);
    }

    fn tell_reset(&self, reset: &Reset) {
        if let Some(core) = self.core.upgrade() {
            core.resets.tell(reset);
        }
    }

    /// Knows streams from now on that were opened, and forgets those that are gone.
    fn open(&mut self, link: &mut Link) {
        let (Some(core), Some(place)) = (self.core.upgrade(), &self.place) else { return };
        let at = place.at();
        let opened = std::mem::take(&mut *lock(&core.opened));
        if opened.is_empty() {
            return;
        }
        for stream in opened {
            if self.joined && !self.is_subscribed(stream.event) {
                self.subscribe(&stream.event.into(), link);
            }
            self.made += 1;
            self.readers.push(Reader::new(stream, self.made, at));
        }
        self.readers.retain(|reader| !reader.is_closed());
    }

    /// Something about the handles has changed.
    pub(crate) fn look(&mut self, link: &mut Link, hub: &Hub) {
        self.open(link);
        if self.is_unused() {
            link.timers.after(UNUSED, Due::Unused(self.id.clone()));
        }
        self.make_room(hub);
    }

    /// Has those streams wait for their readers that have more to read than fits.
    fn make_room(&mut self, hub: &Hub) {
        for reader in &mut self.readers {
            if let Some(room) = reader.room() {
                let (id, stream) = (self.id.clone(), reader.id);
                hub.wait(async move {
                    room.await;
                    (id, stream)
                });
            }
        }
    }

    pub(crate) fn request(&mut self, request: Request, link: &mut Link) {
        self.outbox.push(request);
        self.flush(link);
    }

    fn flush(&mut self, link: &mut Link) {
        if self.joined {
            let id = &self.id;
            let about = || About::Request(Some(id.clone()));
            self.outbox.flush(|it| link.ask_raw(it.name, &it.payload, about()));
        }
    }

    /// The connection is no more.
    pub(crate) fn lost(&mut self) {
        (self.joined, self.fetching) = (false, false);
        self.state.send_replace(RoomState::Rejoining);
        self.outbox.lost();
        self.readers.iter_mut().for_each(Reader::lost);
    }

    /// The room is not kept any more.
    pub(crate) fn end(mut self, error: impl Fn() -> RequestError) {
        for waiter in self.waiting.drain(..) {
            let _ = waiter.send(Err(error()));
        }
        self.outbox.fail(&error);
        if let Some(core) = self.core.upgrade() {
            core.resets.end();
            lock(&core.opened).clear();
        }
        self.state.send_replace(RoomState::Left);
    }
}

fn history<'a>(room: &'a str, event: Option<&'a str>, after: u64, limit: usize) -> GetHistory<'a> {
    GetHistory {
        room_id: room.into(),
        event_name: event.map(Into::into),
        start: None,
        end: None,
        after: Some(after),
        before: None,
        limit: Some(limit),
    }
}

fn range(answer: Result<&RawValue, Refusal>) -> Result<Range, Refusal> {
    let page = answer::read::<answer::Page>(answer?);
    page.map(Into::into).map_err(|error| Refusal::parse(&error.to_string()))
}

/// The server has taken the client out of the room.
fn is_gone(refusal: &Refusal) -> bool {
    [ErrorCode::NotInRoom, ErrorCode::RoomNotFound].contains(&refusal.code)
}

/// Tries later what the server refuses for a moment, unless the room is gone.
fn put_off(refusal: Refusal, what: About, link: &mut Link) -> Result<(), Over> {
    if is_gone(&refusal) {
        return Err(Over(refusal));
    }
    link.timers.after(passes(&refusal).unwrap_or(AGAIN), Due::Again(what));
    Ok(())
}
