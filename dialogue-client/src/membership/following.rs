//! What happens in a room, from the server to its streams.

use std::{
    borrow::Cow,
    sync::{Arc, Weak},
};

use dialogue::{
    EVERY_EVENT, RawMessage,
    protocol::{ErrorCode, Failure, GetHistory, Page, Subscribe, Subscriptions, event},
};
use serde_json::value::RawValue;

use super::{AGAIN, MOST, Membership, Over, PAGE, Refused, UNUSED};
use crate::{
    Reset, answer,
    core::Core,
    error::{ClientError, Refusal},
    feed::lock,
    hub::Hub,
    link::{About, Due, Link, Need, Patience},
    place::{At, End, Place, Range, Step},
    reader::Reader,
    request::{is_gone, passes},
};

impl Membership {
    /// An event happened in the room.
    pub(crate) fn on_event(&mut self, message: RawMessage, link: &mut Link, hub: &Hub) {
        self.open(link);
        if let Some(place) = self.place.as_mut().filter(|_| self.joined) {
            let steps = place.live(Arc::new(message));
            self.take(steps, link, hub);
        }
    }

    /// The server says where the log ends.
    pub(crate) fn on_end(&mut self, end: End, link: &mut Link, hub: &Hub) {
        if let Some(place) = self.place.as_mut().filter(|_| self.joined) {
            let steps = place.end(end);
            self.take(steps, link, hub);
        }
    }

    /// What was missing.
    pub(super) fn on_page(
        &mut self,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        self.open(link);
        match range(answer) {
            Ok(range) => {
                if let Some(place) = &mut self.place {
                    let steps = place.page(range);
                    self.take(steps, link, hub);
                }
                self.calm();
                Ok(())
            }
            Err(refusal) => self.put_off(refusal, Need::Fetch, link, hub),
        }
    }

    /// What a stream did not have room for.
    pub(super) fn on_stream_page(
        &mut self,
        id: u64,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        let Self { readers, core, .. } = self;
        let Some(reader) = readers.iter_mut().find(|reader| reader.id == id) else {
            return Ok(());
        };
        match range(answer) {
            Ok(range) => {
                let event: Arc<str> = reader.event.into();
                if reader.page(range, |at| tell_reset(core, at, Some(event.clone()))) {
                    self.later(AGAIN, Need::CatchUp(id), link);
                }
                self.make_room(hub);
                Ok(())
            }
            Err(refusal) => self.put_off(refusal, Need::CatchUp(id), link, hub),
        }
    }

    /// Tries later what the server refuses for now, unless the room is gone, and tells when it says
    /// something new: one that says when to come back has only been asked too often.
    pub(super) fn put_off(
        &mut self,
        refusal: Refusal,
        need: Need,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        if is_gone(&refusal) {
            return Err(refusal.into());
        }
        let at = self.refused.iter().position(|it| it.need == need);
        let before = at.map(|at| self.refused.swap_remove(at));
        let times = before.as_ref().map_or(0, |it| it.times);
        let wait = AGAIN.saturating_mul(2_u32.saturating_pow(times)).min(MOST);
        let wait = match refusal.retry_after {
            // Many rooms may be joined again at once.
            Some(retry_after) if need == Need::Join => retry_after.max(wait),
            Some(retry_after) => retry_after,
            None => wait,
        };
        self.later(wait, need.clone(), link);
        let (code, times) = (refusal.code, times.saturating_add(1));
        let is_new = before.is_none_or(|it| it.code != code);
        self.refused.push(Refused { need, code, times });
        if is_new && refusal.retry_after.is_none() {
            hub.tell(ClientError::Room { room_id: self.id.to_string(), refusal });
        }
        Ok(())
    }

    pub(super) fn on_subscribed(
        &mut self,
        event: &Arc<str>,
        answer: Result<&RawValue, Refusal>,
        link: &mut Link,
        hub: &Hub,
    ) -> Result<(), Over> {
        match answer.map(answer::read::<Subscriptions<'_>>) {
            Ok(Ok(Subscriptions { subscriptions, seq, .. })) => {
                let before = self.followed();
                self.subscriptions = subscriptions.into_owned();
                self.note_subscribed();
                let new = self.followed_besides(&before);
                let readers = self.readers.iter_mut();
                let of_them = readers.filter(|it| new.iter().any(|name| name == it.event));
                of_them.for_each(|reader| reader.skip_to(seq));
                // In another log, the place is about to be one there.
                if let Some(place) = &mut self.place {
                    place.follow(new, seq);
                }
            }
            Ok(Err(_)) => {}
            Err(refusal) if passes(&refusal).is_some() || is_gone(&refusal) => {
                return self.put_off(refusal, Need::Subscribe(event.clone()), link, hub);
            }
            Err(refusal) => {
                if self.refuse(event) {
                    hub.tell(ClientError::Room { room_id: self.id.to_string(), refusal });
                }
            }
        }
        Ok(())
    }

    /// Does once more what was put off, or not answered.
    pub(crate) fn again(&mut self, need: Need, link: &mut Link) {
        match need {
            Need::Join
                if !self.joined && link.is_up() && !link.waits_for(&self.about(Need::Join)) =>
            {
                self.join(link);
            }
            Need::Fetch if self.joined => {
                if let Some(after) = self.place.as_ref().and_then(Place::behind) {
                    self.fetch(after, link);
                }
            }
            Need::CatchUp(id)
                if self.readers.iter().any(|reader| reader.id == id && reader.has_asked())
                    && !link.waits_for(&self.about(Need::CatchUp(id))) =>
            {
                self.catch_up(id, link);
            }
            Need::Subscribe(event) if self.joined && self.rest().any(|rest| *rest == *event) => {
                self.subscribe(&event, link);
            }
            Need::Request => match self.outbox.resume() {
                Some(left) => self.later(left, need, link),
                None => self.flush(link),
            },
            _ => {}
        }
    }

    /// Asks for what a stream has room for now.
    pub(crate) fn catch_up(&mut self, id: u64, link: &mut Link) {
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else { return };
        if !self.joined || reader.is_closed() {
            reader.idle();
        } else if let Some(after) = reader.catch_up() {
            let (event, patience) = (Some(reader.event), reader.patience);
            let history = history(&self.id, event, after, patience.events(reader.page));
            let about = About::Room(self.id.clone(), Need::CatchUp(id));
            link.ask_patiently(event::GET_HISTORY, &history, about, patience);
        }
    }

    fn fetch(&mut self, after: u64, link: &mut Link) {
        let about = self.about(Need::Fetch);
        if !link.waits_for(&about) {
            let history = history(&self.id, None, after, self.patience.events(PAGE));
            link.ask_patiently(event::GET_HISTORY, &history, about, self.patience);
        }
    }

    /// Resets the patience once no event is missing.
    pub(super) fn calm(&mut self) {
        if self.place.as_ref().is_some_and(|place| place.behind().is_none()) {
            self.patience = Patience::default();
        }
    }

    fn subscribe(&self, event: &Arc<str>, link: &mut Link) {
        let about = self.about(Need::Subscribe(event.clone()));
        if !link.waits_for(&about) {
            let request = Subscribe { room_id: (&*self.id).into(), event_name: (&**event).into() };
            link.ask(event::SUBSCRIBE, &request, about);
        }
    }

    /// The names whose events are stored and come.
    pub(super) fn followed(&self) -> Vec<Cow<'static, str>> {
        self.stored.iter().filter(|event| self.is_subscribed(event)).cloned().collect()
    }

    /// Those that are not among others.
    pub(super) fn followed_besides(&self, others: &[Cow<'static, str>]) -> Vec<Cow<'static, str>> {
        let mut followed = self.followed();
        followed.retain(|name| !others.contains(name));
        followed
    }

    pub(super) fn is_subscribed(&self, event: &str) -> bool {
        self.subscriptions.iter().any(|own| own == event || own == EVERY_EVENT)
    }

    /// Does what the place says.
    pub(super) fn take(&mut self, steps: Vec<Step>, link: &mut Link, hub: &Hub) {
        self.readers.retain(|reader| !reader.is_closed());
        for step in steps {
            match step {
                Step::Deliver(message) => {
                    for reader in &mut self.readers {
                        if message.event == reader.event {
                            reader.live(&message);
                        }
                    }
                }
                Step::Fetch { after, later: false } => self.fetch(after, link),
                Step::Fetch { later: true, .. } => self.later(AGAIN, Need::Fetch, link),
                Step::Reset(at) => {
                    for reader in &mut self.readers {
                        self.made += 1;
                        reader.reset(self.made, at);
                    }
                    tell_reset(&self.core, at, None);
                }
                // A stream that is behind finds out by itself, when it is there.
                Step::Skip { event, at } => tell_reset(&self.core, at, Some((&*event).into())),
            }
        }
        self.make_room(hub);
    }

    /// Knows streams from now on that were opened, which hear what happens next.
    pub(super) fn open(&mut self, link: &mut Link) {
        let (Some(core), Some(place)) = (self.core.upgrade(), &self.place) else { return };
        let at = place.at();
        let opened = std::mem::take(&mut *lock(&core.opened));
        if opened.is_empty() {
            return;
        }
        for stream in opened {
            self.made += 1;
            self.readers.push(Reader::new(stream, self.made, at));
        }
        if self.joined {
            self.subscribe_to_rest(link);
        }
    }

    /// Subscribes to what streams are for and joiners do not receive.
    pub(super) fn subscribe_to_rest(&self, link: &mut Link) {
        self.rest().for_each(|event| self.subscribe(&event.into(), link));
    }

    /// What streams are for and joiners do not receive, unless the room refuses it.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'static str> {
        self.wanted().filter(|event| !self.is_subscribed(event))
    }

    /// What streams are for, unless the room refuses it.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &'static str> {
        let open = self.readers.iter().filter(|reader| !reader.refused && !reader.is_closed());
        open.map(|reader| reader.event)
    }

    /// Lets a later rejection of the events that are subscribed to now be reported again.
    pub(super) fn note_subscribed(&mut self) {
        let Self { readers, subscriptions, .. } = self;
        for reader in readers {
            reader.told &=
                !subscriptions.iter().any(|own| own == reader.event || own == EVERY_EVENT);
        }
    }

    /// The room refuses an event: it is not asked for again on this connection, unless another stream of it
    /// is opened. Returns whether the app is to be told.
    fn refuse(&mut self, event: &str) -> bool {
        let mut is_new = false;
        for reader in self.readers.iter_mut().filter(|reader| reader.event == event) {
            is_new |= !reader.told;
            (reader.refused, reader.told) = (true, true);
        }
        is_new
    }

    /// The room does not have an event that a join named, or has no place for it.
    pub(super) fn lack(&mut self, event: &str, hub: &Hub) {
        if self.refuse(event) {
            let message = format!(
                "the room does not list the event `{event}`, or takes no more subscriptions"
            );
            let failure = Failure::new(ErrorCode::EventNotAllowed, message);
            let refusal = failure.in_room(&self.id).of_event(event).into();
            hub.tell(ClientError::Room { room_id: self.id.to_string(), refusal });
        }
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
    pub(super) fn make_room(&mut self, hub: &Hub) {
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_closed()) {
            if let Some(room) = reader.room() {
                let (id, stream) = (self.id.clone(), reader.id);
                hub.wait(async move {
                    room.await;
                    (id, stream)
                });
            }
        }
    }
}

fn tell_reset(core: &Weak<Core>, at: At, event: Option<Arc<str>>) {
    if let Some(core) = core.upgrade() {
        core.resets.tell(&Reset { at, event });
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
    let page = answer::read(answer?).map_err(Refusal::from)?;
    let Page { events, complete, epoch, seq } = page;
    Ok(Range { events: events.into_owned(), complete, end: At { epoch, seq } })
}
