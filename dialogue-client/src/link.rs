//! What was asked on the connection that there is, and until when the answers may take.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    packet::Packet,
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
    /// To leave a room that nobody uses.
    Unused(RoomId),
    Connect,
}

pub(crate) struct Link {
    socket: Option<Socket>,
    waiting: HashMap<u64, (About, TimerId)>,
    asked: u64,
    pub(crate) timers: Timers<Due>,
    /// How long an answer may take.
    patience: Duration,
}

impl Link {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { socket: None, waiting: HashMap::new(), asked: 0, timers: Timers::new(), patience }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.socket.is_some()
    }

    pub(crate) fn up(&mut self, socket: Socket) {
        self.socket = Some(socket);
    }

    /// The connection is gone, and with it everything that was asked.
    pub(crate) fn down(&mut self) -> Option<Socket> {
        for (_, (_, timer)) in self.waiting.drain() {
            self.timers.cancel(timer);
        }
        self.socket.take()
    }

    /// Asks, if there is a connection; whoever comes later asks again by itself.
    pub(crate) fn ask(&mut self, name: &str, payload: &impl Serialize, about: About) {
        // Requests are structs of texts and numbers.
        if let Ok(payload) = to_raw_value(payload) {
            self.ask_raw(name, &payload, about);
        }
    }

    pub(crate) fn ask_raw(&mut self, name: &str, payload: &RawValue, about: About) -> u64 {
        self.asked += 1;
        let id = self.asked;
        if let Some(socket) = &mut self.socket {
            socket.send(Packet::request(id, name, payload));
            let timer = self.timers.after(self.patience, Due::Answer(id));
            self.waiting.insert(id, (about, timer));
        }
        id
    }

    /// What an answer is about, if it is still waited for.
    pub(crate) fn answered(&mut self, id: u64) -> Option<About> {
        let (about, timer) = self.waiting.remove(&id)?;
        self.timers.cancel(timer);
        Some(about)
    }

    /// Whether an answer about this is waited for.
    pub(crate) fn waits_for(&self, about: &About) -> bool {
        self.waiting.values().any(|(asked, _)| asked == about)
    }

    /// Nobody waits for what was asked about a room.
    pub(crate) fn forget(&mut self, room: &str) {
        let Self { waiting, timers, .. } = self;
        waiting.retain(|_, (about, timer)| {
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
