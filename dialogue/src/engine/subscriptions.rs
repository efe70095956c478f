//! Which events of a room one member receives.

use std::borrow::Cow;

use crate::{EventNotListed, RoomSpec, SubscribeError, model::name, protocol::MAX_UNKNOWN};

/// What a member is subscribed to.
pub(crate) type Names = Vec<Cow<'static, str>>;

/// What a join asks for that names events.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) subscriptions: Subscriptions,
    /// Names that the member does not receive, without repetition, up to [`MAX_UNKNOWN`]: the room does not list
    /// them, or they are more than a member may have.
    pub(crate) unknown: Vec<String>,
}

impl Named {
    /// Looks names up in a room. One that it does not list costs nothing but itself: the client may know
    /// another version of the app. So does one beyond `most`, which the defaults do not count towards: another
    /// version may have more of them.
    pub(crate) fn new(spec: RoomSpec<'_>, names: &[String], defaults: bool, most: usize) -> Self {
        let mut subscriptions =
            if defaults { Subscriptions::defaults(spec) } else { Subscriptions::default() };
        let most = most.saturating_add(subscriptions.0.len());
        let mut unknown = Vec::new();
        for name in names {
            let added = subscriptions.add(spec, name, most);
            if added.is_err() && unknown.len() < MAX_UNKNOWN && !unknown.contains(name) {
                unknown.push(name.clone());
            }
        }
        Self { subscriptions, unknown }
    }
}

/// Event names, without repetition. In a room with `events(any)`, `"*"` stands for all and is then
/// the only one; elsewhere, all are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions(Names);

impl Subscriptions {
    /// What a joiner has who names none.
    pub(crate) fn defaults(spec: RoomSpec<'_>) -> Self {
        if spec.any && spec.subscribe_all {
            return Self(vec![name::EVERY_EVENT.into()]);
        }
        let subscribed = spec.events.iter().filter(|event| event.subscribed);
        Self(subscribed.map(|event| event.name.clone()).collect())
    }

    /// Adds an event, or every event for `"*"`.
    pub(crate) fn add(
        &mut self,
        spec: RoomSpec<'_>,
        event: &str,
        most: usize,
    ) -> Result<(), SubscribeError> {
        if event == name::EVERY_EVENT {
            self.0 = if spec.any {
                vec![name::EVERY_EVENT.into()]
            } else {
                spec.events.iter().map(|event| event.name.clone()).collect()
            };
            return Ok(());
        }
        if self.covers(event) {
            return Ok(());
        }
        let event: Cow<'static, str> = match spec.event(event) {
            Some(listed) => listed.name.clone(),
            None if spec.any && name::is_event_name(event) => event.to_owned().into(),
            None => return Err(EventNotListed::new(event).into()),
        };
        if spec.any && self.0.len() >= most {
            return Err(SubscribeError::LimitExceeded { most });
        }
        self.0.push(event);
        Ok(())
    }

    /// Adds all of another member's; both are of the same room.
    pub(crate) fn extend(&mut self, other: Self) {
        for event in other.0 {
            if event == name::EVERY_EVENT {
                self.0.clear();
            }
            if !self.covers(&event) {
                self.0.push(event);
            }
        }
    }

    /// Removes an event, or every event for `"*"`.
    pub(crate) fn remove(&mut self, event: &str) {
        if event == name::EVERY_EVENT {
            self.0.clear();
        } else {
            self.0.retain(|subscribed| subscribed != event);
        }
        self.0.shrink_to_fit();
    }

    pub(crate) fn covers(&self, event: &str) -> bool {
        self.0.iter().any(|subscribed| subscribed == event || subscribed == name::EVERY_EVENT)
    }

    /// What the names take in the member, in the room's table and in its last answer to a join, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let weight = |name: &Cow<'static, str>| match name {
            Cow::Borrowed(_) => 32,
            Cow::Owned(name) => 128 + 3 * name.len(),
        };
        self.0.iter().map(weight).sum()
    }

    pub(crate) fn names(&self) -> &[Cow<'static, str>] {
        &self.0
    }
}
