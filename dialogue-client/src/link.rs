//! What was asked on the connection that there is, and until when the answers may take.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dialogue::protocol::event;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    error::TooLarge,
    packet::{MAX_BEFORE_SESSION, Packet},
    request::LONG,
    socket::{Lost, Socket},
    timers::{TimerId, Timers},
};

pub(crate) type RoomId = Arc<str>;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    /// A room that is kept.
    Room(RoomId, Need),
    /// A room that is kept no more.
    Leave(RoomId),
    /// A request of a handle, outside rooms.
    Request,
    Refresh,
}

/// What a room needs of the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Need {
    Join,
    Subscribe(Arc<str>),
    /// What the room missed.
    Fetch,
    /// What a stream has not read yet.
    CatchUp(u64),
    /// What a handle asked for.
    Request,
}

/// What is due.
#[derive(Debug)]
pub(crate) enum Due {
    /// There was no answer in time.
    Answer(u64),
    /// To try once more what could not be done.
    Again(About),
    /// What was asked about is longer than the server takes.
    TooLarge(About, TooLarge),
    /// To leave a room that nobody uses.
    Unused(RoomId),
    Connect,
}

/// How many times as long as usual an answer may take, at most.
const MOST_TIMES: u32 = 8;

/// How long an answer may take, in multiples of the usual time: twice as long after each that came too late, since
/// the connection may be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(u32);

impl Default for Patience {
    fn default() -> Self {
        Self(1)
    }
}

impl Patience {
    pub(crate) fn double(&mut self) {
        self.0 = (2 * self.0).min(MOST_TIMES);
    }

    /// How many events to ask for, where `most` are usual: fewer, the longer answers take.
    pub(crate) fn events(self, most: usize) -> usize {
        most.div_ceil(self.0.pow(2) as usize)
    }
}

pub(crate) struct Link {
    socket: Option<Socket>,
    /// The longest message that the server takes, in bytes.
    longest: usize,
    waiting: HashMap<u64, Waiting>,
    asked: u64,
    /// Whether a request waits until nothing else is in flight that may be why a connection is lost.
    pub(crate) is_held: bool,
    pub(crate) timers: Timers<Due>,
    /// Timeout of a request, which [`Patience`] multiplies.
    answer_time: Duration,
}

/// What was asked and is not answered.
struct Waiting {
    about: About,
    timer: TimerId,
    /// Whether the request is long.
    is_long: bool,
    /// Whether the answer may be long. The answer to a trigger is short.
    may_be_long: bool,
}

impl Link {
    pub(crate) fn new(answer_time: Duration) -> Self {
        Self {
            socket: None,
            longest: usize::MAX,
            waiting: HashMap::new(),
            asked: 0,
            is_held: false,
            timers: Timers::new(),
            answer_time,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether the server of the last connection said how long a message may be.
    pub(crate) fn knows_limit(&self) -> bool {
        self.longest < usize::MAX
    }

    pub(crate) fn up(&mut self, socket: Socket, longest: usize) {
        (self.socket, self.longest) = (Some(socket), longest);
    }

    /// The connection is gone, and with it everything that was asked.
    pub(crate) fn down(&mut self) -> Option<Socket> {
        for (_, waiting) in self.waiting.drain() {
            self.timers.cancel(waiting.timer);
        }
        self.socket.take()
    }

    /// The message of the server that was too long, and ended the connection.
    pub(crate) fn too_long(&self) -> Option<TooLarge> {
        self.socket.as_ref().and_then(|socket| socket.too_long)
    }

    /// Whether nothing is in flight that may be why a connection is lost.
    pub(crate) fn is_clear(&self) -> bool {
        self.waiting.values().all(|waiting| !waiting.is_long && !waiting.may_be_long)
    }

    /// Whether a room waits for what it needs by itself, such as a join or a page of missed events.
    pub(crate) fn is_restoring(&self) -> bool {
        let of_room =
            |about: &About| matches!(about, About::Room(_, need) if *need != Need::Request);
        self.waiting.values().any(|waiting| of_room(&waiting.about))
    }

    /// Whether one request alone, of all rooms, may be why the connection is lost: by its own length, or by the
    /// length of its answer.
    pub(crate) fn has_one_cause(&self, by_answer: bool) -> bool {
        let waiting = self.waiting.values();
        waiting.filter(|it| if by_answer { it.may_be_long } else { it.is_long }).count() == 1
    }

    /// Asks, if there is a connection; whoever comes later asks again by itself.
    pub(crate) fn ask(&mut self, name: &str, payload: &impl Serialize, about: About) {
        self.ask_patiently(name, payload, about, Patience::default());
    }

    pub(crate) fn ask_patiently(
        &mut self,
        name: &str,
        payload: &impl Serialize,
        about: About,
        patience: Patience,
    ) {
        // Requests are structs of texts and numbers.
        if let Ok(payload) = to_raw_value(payload)
            && let Err(too_large) = self.send(name, &payload, about.clone(), patience)
        {
            self.timers.after(Duration::ZERO, Due::TooLarge(about, too_large));
        }
    }

    /// Asks, unless the server would close the connection on that.
    pub(crate) fn ask_raw(
        &mut self,
        name: &str,
        payload: &RawValue,
        about: About,
    ) -> Result<u64, TooLarge> {
        self.send(name, payload, about, Patience::default())
    }

    fn send(
        &mut self,
        name: &str,
        payload: &RawValue,
        about: About,
        patience: Patience,
    ) -> Result<u64, TooLarge> {
        let id = self.asked + 1;
        if let Some(socket) = &mut self.socket {
            let packet = Packet::request(id, name, payload);
            // The next connection presents the same credentials.
            let most = if name == event::AUTHENTICATE { MAX_BEFORE_SESSION } else { usize::MAX };
            let (size, limit) = (packet.len(), self.longest.min(most));
            if size > limit {
                return Err(TooLarge { size, limit });
            }
            socket.send(packet);
            let timer = self.timers.after(self.answer_time * patience.0, Due::Answer(id));
            let (is_long, may_be_long) = (payload.get().len() > LONG, name != event::TRIGGER);
            self.waiting.insert(id, Waiting { about, timer, is_long, may_be_long });
        }
        self.asked = id;
        Ok(id)
    }

    /// What an answer is about, if it is still waited for.
    pub(crate) fn answered(&mut self, id: u64) -> Option<About> {
        let Waiting { about, timer, .. } = self.waiting.remove(&id)?;
        self.timers.cancel(timer);
        Some(about)
    }

    /// Whether an answer about this is waited for.
    pub(crate) fn waits_for(&self, about: &About) -> bool {
        self.waiting.values().any(|waiting| waiting.about == *about)
    }

    /// Nobody waits for what was asked about a room.
    pub(crate) fn forget(&mut self, room: &str) {
        let Self { waiting, timers, .. } = self;
        waiting.retain(|_, Waiting { about, timer, .. }| {
            let kept = !matches!(about, About::Room(id, _) if **id == *room);
            if !kept {
                timers.cancel(*timer);
            }
            kept
        });
    }

    /// Answers an event of the server.
    pub(crate) fn acknowledge(&mut self, id: u64) -> Result<(), Lost> {
        self.socket.as_mut().map_or(Ok(()), |socket| socket.reply(Packet::ack(id)))
    }

    /// What arrives next, or is due.
    pub(crate) async fn happens(&mut self) -> Happened {
        let Self { socket, timers, .. } = self;
        let message = async {
            match socket {
                Some(socket) => socket.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = message => Happened::Message(message),
            due = timers.next() => Happened::Due(due),
        }
    }
}

pub(crate) enum Happened {
    Message(Result<Utf8Bytes, Lost>),
    Due(Due),
}
