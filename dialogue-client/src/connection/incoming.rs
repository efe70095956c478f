//! What arrives on a connection, and what is due.

use std::time::Duration;

use dialogue::{
    RawMessage,
    protocol::{self, Authenticated, Draining, ErrorCode, event},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{BETWEEN, Connection, Flow, ON, OVER};
use crate::{
    answer::{accept, read},
    error::{ClientError, Failed, Refusal, RequestError},
    link::{About, Due, Need, RoomId},
    membership::{Membership, Over},
    packet::Packet,
    place::{At, End},
    request::passes,
    socket::packet,
    who::expiry,
};

impl Connection {
    /// Does what is due.
    pub(super) fn due(&mut self, due: Due) {
        match due {
            Due::Connect => {
                let config = self.config.clone();
                self.opening = Some(Box::pin(async move { config.open().await }));
            }
            Due::Answer(id) => {
                if let Some(about) = self.link.answered(id) {
                    self.unanswered(id, about);
                }
            }
            Due::Again(About::Refresh) => {
                let config = self.config.clone();
                self.refreshing = Some(Box::pin(async move {
                    config.credentials().await.map_err(RequestError::Credentials)
                }));
            }
            Due::Again(About::Request) => match self.outbox.resume() {
                Some(left) => drop(self.link.timers.after(left, Due::Again(About::Request))),
                None => self.flush(),
            },
            Due::Again(About::Leave(id)) => self.ask_to_leave(&id),
            Due::Again(About::Room(id, need)) => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.again(need, &mut self.link);
                }
            }
            Due::TooLarge(about, too_large) => self.too_large(about, Failed::TooLarge(too_large)),
            Due::Unused(id) => {
                if self.rooms.get(&id).is_some_and(Membership::is_unused) {
                    self.leave(&id, &Failed::Left, None);
                }
            }
        }
    }

    /// What was asked was not sent.
    fn too_large(&mut self, about: About, why: Failed) {
        match about {
            About::Room(id, _) => self.over(&id, &why),
            About::Leave(id) => self.on_left(id, None),
            About::Refresh => self.hub.tell(ClientError::Refresh(why.into())),
            // Its outbox has failed it.
            About::Request => {}
        }
    }

    /// There was no answer in time.
    fn unanswered(&mut self, id: u64, about: About) {
        match about {
            About::Request => {
                self.outbox.timed_out(id);
                self.flush();
            }
            About::Refresh => self.hub.tell(ClientError::Refresh(RequestError::Timeout)),
            About::Leave(room) => self.ask_to_leave(&room),
            About::Room(room, need) => {
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.unanswered(id, need, &mut self.link);
                }
            }
        }
    }

    pub(super) fn message(&mut self, message: &Utf8Bytes) -> Flow {
        match packet(message) {
            Some(Packet::Event { name, data, ack }) => {
                if ack.is_some_and(|id| self.link.acknowledge(id).is_err()) {
                    return self.lost();
                }
                self.event(name, data);
            }
            Some(Packet::Ack { id, data }) => {
                if let Some(about) = self.link.answered(id) {
                    self.answer(id, about, accept(data));
                    if self.too_long > 0 && !self.link.is_restoring() {
                        (self.failed, self.too_long) = (0, 0);
                    }
                }
            }
            // A server that goes down, or whose client has expired, means this connection alone.
            Some(Packet::Disconnect) if self.stay_away.is_some() || self.has_expired() => {
                return self.lost();
            }
            Some(Packet::Disconnect) => {
                self.hub.tell(ClientError::Disconnected);
                return OVER;
            }
            Some(Packet::Connect | Packet::ConnectError(_)) | None => {}
        }
        ON
    }

    fn event(&mut self, name: String, data: &RawValue) {
        let Self { link, rooms, hub, .. } = self;
        match &*name {
            event::EVENT => {
                if let Some(message) = hear::<RawMessage>(data)
                    && let Some(room) = rooms.get_mut(&*message.room_id)
                {
                    room.on_event(message, link, hub);
                }
            }
            event::POSITION => {
                if let Some(protocol::At { room_id, epoch, seq, last }) = hear(data)
                    && let Some(room) = rooms.get_mut(&*room_id)
                {
                    room.on_end(End { at: At { epoch, seq }, last }, link, hub);
                }
            }
            event::LEFT | event::ROOM_DELETED => {
                if let Some(protocol::Membership { room_id, .. }) = hear(data) {
                    self.dismissed(&room_id);
                }
            }
            event::DRAINING => {
                if let Some(Draining { reconnect_after_ms }) = hear(data) {
                    self.stay_away = Some(Duration::from_millis(reconnect_after_ms));
                }
            }
            event::ERROR => {
                let refusal = Refusal::parse(data.get());
                self.expired |= refusal.code == ErrorCode::TokenExpired;
                hub.tell(ClientError::Refused(refusal));
            }
            // What else the protocol says is about rooms that this client is not in.
            name if name.starts_with("dialogue:") => {}
            _ => hub.direct.tell(name, data),
        }
    }

    /// The server has taken the client out of a room. If it joins at the moment, that may be before or
    /// after what it asked for, so it asks once more.
    fn dismissed(&mut self, id: &str) {
        let Self { link, rooms, .. } = self;
        match rooms.get_mut(id) {
            Some(room) if link.waits_for(&room.about(Need::Join)) => {
                link.forget(id);
                room.join(link);
            }
            _ => drop(self.forget(id, &Failed::Left)),
        }
    }

    fn answer(&mut self, id: u64, about: About, answer: Result<&RawValue, Refusal>) {
        if about == About::Request
            && self.outbox.name_of(id) == Some(event::AUTHENTICATE)
            && let Ok(Ok(Authenticated { expires_in_ms, .. })) = answer.as_deref().map(read)
        {
            // From now on, whenever the app takes the answer.
            self.expires(expiry(expires_in_ms), BETWEEN);
        }
        let Self { link, rooms, hub, outbox, .. } = self;
        match about {
            About::Room(room_id, need) => {
                let Some(room) = rooms.get_mut(&room_id) else { return };
                if let Err(Over(why)) = room.answer(id, need, answer, link, hub) {
                    self.over(&room_id, &why);
                }
            }
            About::Leave(room_id) => self.on_left(room_id, answer.as_ref().err()),
            About::Request => match outbox.answered(id, answer) {
                Some(pause) => drop(link.timers.after(pause, Due::Again(About::Request))),
                None => self.flush(),
            },
            About::Refresh => match answer.map_err(Failed::from).and_then(read) {
                Ok(Authenticated { expires_in_ms, .. }) => {
                    self.expires(expiry(expires_in_ms), BETWEEN);
                }
                Err(why) => {
                    let error = RequestError::from(why);
                    if let Some(wait) = error.refusal().and_then(passes) {
                        link.timers.after(wait, Due::Again(About::Refresh));
                    }
                    hub.tell(ClientError::Refresh(error));
                }
            },
        }
    }

    /// A room is not kept any more.
    fn over(&mut self, id: &RoomId, why: &Failed) {
        // Whoever joins hears it by itself.
        if self.rooms.get(id).is_some_and(Membership::was_joined) {
            let refusal = why.clone().into();
            self.hub.tell(ClientError::Room { room_id: id.to_string(), refusal });
        }
        if let Failed::Refused(_) | Failed::TooLarge(_) = why {
            self.forget(id, why);
        } else {
            // The server believes that it is in the room.
            self.leave(id, why, None);
        }
    }
}

/// What the server says by itself, if it has its shape.
fn hear<'a, T: Deserialize<'a>>(data: &'a RawValue) -> Option<T> {
    serde_json::from_str(data.get()).ok()
}
