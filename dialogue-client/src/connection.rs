//! The task that owns a client's connection and everything that depends on it.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dialogue::{
    RawMessage,
    protocol::{Draining, ErrorCode, event},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    State,
    answer::{self, Authenticated, Connected, InRoom, Position},
    builder::Config,
    direct::Direct,
    error::{ClientError, ConnectError, Refusal, RequestError},
    feed::Listeners,
    link::{About, Due, Happened, Link, RoomId},
    membership::{Membership, Over, Waiter},
    packet::Packet,
    place::At,
    request::{Outbox, Request},
    socket::{self, Lost, Socket},
    timers::TimerId,
};

/// How long before credentials expire new ones are sent, at most.
const REFRESH: Duration = Duration::from_mins(1);

/// What handles ask for.
pub(crate) enum Command {
    Join {
        id: RoomId,
        reply: Waiter,
    },
    Leave {
        id: RoomId,
        request: Request,
    },
    /// In a room, or outside.
    Request {
        room: Option<RoomId>,
        request: Request,
    },
    /// When credentials expire that were sent.
    ExpiresAt(Option<u64>),
    Close,
}

/// What the task tells handles.
pub(crate) struct Hub {
    /// Somebody opened a stream, or dropped the last handle of a room.
    pub(crate) attention: Arc<Notify>,
    pub(crate) errors: Arc<Listeners<Arc<ClientError>>>,
    pub(crate) direct: Arc<Direct>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) who: watch::Sender<Connected>,
    /// Streams whose readers are slow, until there is room for more.
    slow: FuturesUnordered<BoxFuture<'static, (RoomId, u64)>>,
}

pub(crate) struct Connection {
    config: Arc<Config>,
    commands: mpsc::Receiver<Command>,
    hub: Hub,
    link: Link,
    rooms: HashMap<RoomId, Membership>,
    /// What is asked outside rooms.
    outbox: Outbox,
    opening: Option<BoxFuture<'static, Result<(Socket, Connected), ConnectError>>>,
    /// How many attempts failed in a row.
    failed: u32,
    /// The server goes down, and said how long to stay away.
    stay_away: Option<Duration>,
    /// The server said that the credentials have expired.
    expired: bool,
    /// When they do, if that is known.
    until: Option<SystemTime>,
    refreshing: Option<BoxFuture<'static, Result<Option<Box<RawValue>>, RequestError>>>,
    refresh: Option<TimerId>,
}

/// What happens next.
enum Next {
    Command(Option<Command>),
    Link(Happened),
    /// Handles have changed.
    Attention,
    /// The reader of a stream has made room.
    Room((RoomId, u64)),
    Opened(Result<(Socket, Connected), ConnectError>),
    /// There are new credentials.
    Credentials(Result<Option<Box<RawValue>>, RequestError>),
}

/// Whether the client goes on.
type Flow = ControlFlow<()>;
const ON: Flow = Flow::Continue(());
const OVER: Flow = Flow::Break(());

impl Hub {
    pub(crate) fn new(
        errors: Arc<Listeners<Arc<ClientError>>>,
        direct: Arc<Direct>,
        state: watch::Sender<State>,
        who: watch::Sender<Connected>,
    ) -> Self {
        let (attention, slow) = (Arc::default(), FuturesUnordered::new());
        Self { attention, errors, direct, state, who, slow }
    }

    /// Waits for room in a stream.
    pub(crate) fn wait(&self, room: impl Future<Output = (RoomId, u64)> + Send + 'static) {
        self.slow.push(Box::pin(room));
    }

    fn tell(&self, error: ClientError) {
        self.errors.tell(&Arc::new(error));
    }
}

impl Connection {
    pub(crate) fn new(
        config: Arc<Config>,
        commands: mpsc::Receiver<Command>,
        hub: Hub,
        socket: Socket,
        connected: Connected,
    ) -> Self {
        let mut connection = Self {
            link: Link::new(config.request_timeout),
            config,
            commands,
            hub,
            rooms: HashMap::new(),
            outbox: Outbox::default(),
            opening: None,
            failed: 0,
            stay_away: None,
            expired: false,
            until: None,
            refreshing: None,
            refresh: None,
        };
        connection.up(socket, connected);
        connection
    }

    pub(crate) async fn run(mut self) {
        while self.step().await.is_continue() {}
        self.end().await;
    }

    async fn step(&mut self) -> Flow {
        let next = tokio::select! {
            command = self.commands.recv() => Next::Command(command),
            happened = self.link.happens() => Next::Link(happened),
            () = self.hub.attention.notified() => Next::Attention,
            Some(slow) = self.hub.slow.next() => Next::Room(slow),
            opened = some(&mut self.opening) => Next::Opened(opened),
            obtained = some(&mut self.refreshing) => Next::Credentials(obtained),
        };
        match next {
            // Nobody has a handle any more.
            Next::Command(None | Some(Command::Close)) => return OVER,
            Next::Command(Some(command)) => self.command(command),
            Next::Link(Happened::Message(Ok(message))) => return self.message(&message),
            Next::Link(Happened::Message(Err(Lost))) => return self.lost(),
            Next::Link(Happened::Due(due)) => self.due(due),
            Next::Attention => {
                for room in self.rooms.values_mut() {
                    room.look(&mut self.link, &self.hub);
                }
            }
            Next::Room((id, stream)) => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.catch_up(stream, &mut self.link);
                }
            }
            Next::Opened(opened) => {
                self.opening = None;
                return self.opened(opened);
            }
            Next::Credentials(obtained) => {
                self.refreshing = None;
                match obtained {
                    Ok(auth) => self.link.ask(event::AUTHENTICATE, &auth, About::Refresh),
                    Err(error) => self.hub.tell(ClientError::Refresh(error)),
                }
            }
        }
        ON
    }

    fn command(&mut self, command: Command) {
        let Self { link, rooms, hub, .. } = self;
        match command {
            Command::Join { id, reply } => {
                let known = rooms.contains_key(&id);
                let room = rooms.entry(id.clone()).or_insert_with(|| Membership::new(id));
                room.give(reply, hub);
                if !known && link.is_up() {
                    room.join(link);
                }
            }
            Command::Leave { id, request } => {
                if let Some(room) = rooms.remove(&id) {
                    room.end(|| RequestError::Left);
                }
                if link.is_up() {
                    self.outbox.push(request);
                    self.flush();
                }
            }
            Command::Request { room: None, request } => {
                self.outbox.push(request);
                self.flush();
            }
            Command::Request { room: Some(id), request } => match rooms.get_mut(&id) {
                Some(room) => room.request(request, link),
                None => drop(request.reply.send(Err(RequestError::Left))),
            },
            Command::ExpiresAt(at) => self.expires_at(at),
            Command::Close => {}
        }
    }

    fn flush(&mut self) {
        let link = &mut self.link;
        if link.is_up() {
            self.outbox.flush(|it| link.ask_raw(it.name, &it.payload, About::Request(None)));
        }
    }

    /// The server has said who this is.
    fn up(&mut self, socket: Socket, connected: Connected) {
        self.link.up(socket);
        let expires_at = connected.expires_at;
        self.hub.who.send_replace(connected);
        self.hub.state.send_replace(State::Connected);
        (self.failed, self.expired, self.stay_away) = (0, false, None);
        self.expires_at(expires_at);
        for room in self.rooms.values_mut() {
            room.join(&mut self.link);
        }
        self.flush();
    }

    fn opened(&mut self, opened: Result<(Socket, Connected), ConnectError>) -> Flow {
        match opened {
            Ok((socket, connected)) => {
                self.up(socket, connected);
                ON
            }
            Err(error) => {
                self.failed += 1;
                let (last, at_least) = (
                    error.is_final(),
                    error.refusal().and_then(|refusal| refusal.retry_after).unwrap_or_default(),
                );
                self.hub.tell(ClientError::Reconnect(error));
                if last { OVER } else { self.come_back(at_least) }
            }
        }
    }

    /// The connection is no more.
    fn lost(&mut self) -> Flow {
        drop(self.link.down());
        self.hub.state.send_replace(State::Reconnecting);
        self.outbox.lost();
        self.rooms.values_mut().for_each(Membership::lost);
        self.refreshing = None;
        self.expires_at(None);
        let at_least = self.stay_away.unwrap_or_default();
        self.come_back(at_least)
    }

    /// Connects again in a while, unless that was tried often enough.
    fn come_back(&mut self, at_least: Duration) -> Flow {
        let Some(wait) = self.config.reconnect.wait(self.failed) else { return OVER };
        self.link.timers.after(wait.max(at_least), Due::Connect);
        ON
    }

    /// Sends new credentials in time before the present ones expire.
    fn expires_at(&mut self, at: Option<u64>) {
        if let Some(timer) = self.refresh.take() {
            self.link.timers.cancel(timer);
        }
        self.until = at.map(|at| UNIX_EPOCH + Duration::from_millis(at));
        let Some(until) = self.until else { return };
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        let wait = left.saturating_sub(REFRESH.min(left / 2));
        self.refresh = Some(self.link.timers.after(wait, Due::Again(About::Refresh)));
    }

    /// Whether the server ends the connection because of its credentials.
    fn has_expired(&self) -> bool {
        self.expired || self.until.is_some_and(|until| until <= SystemTime::now())
    }

    /// Does what is due.
    fn due(&mut self, due: Due) {
        match due {
            Due::Connect => {
                let config = self.config.clone();
                self.opening = Some(Box::pin(async move { config.open().await }));
            }
            Due::Answer(id) => {
                if let Some(about) = self.link.answered(id) {
                    self.unanswered(id, &about);
                }
            }
            Due::Again(About::Refresh) => {
                let config = self.config.clone();
                self.refreshing = Some(Box::pin(async move {
                    config.credentials().await.map_err(RequestError::Credentials)
                }));
            }
            Due::Again(About::Request(None)) => {
                self.outbox.resume();
                self.flush();
            }
            Due::Again(about) => {
                if let Some(room) = about.room().and_then(|id| self.rooms.get_mut(id)) {
                    room.again(&about, &mut self.link);
                }
            }
            Due::Unused(id) => {
                if self.rooms.get(&id).is_some_and(Membership::is_unused) {
                    self.leave(&id);
                }
            }
        }
    }

    /// There was no answer in time.
    fn unanswered(&mut self, id: u64, about: &About) {
        match about {
            About::Request(None) => {
                self.outbox.timed_out(id);
                self.flush();
            }
            About::Refresh => self.hub.tell(ClientError::Refresh(RequestError::Timeout)),
            _ => {
                if let Some(room) = about.room().and_then(|id| self.rooms.get_mut(id)) {
                    room.unanswered(id, about, &mut self.link);
                }
            }
        }
    }

    /// Leaves a room that nobody uses.
    fn leave(&mut self, id: &RoomId) {
        if let Some(room) = self.rooms.remove(id) {
            room.end(|| RequestError::Left);
            let room = dialogue::protocol::InRoom { room_id: (&**id).into() };
            self.link.ask(event::LEAVE, &room, About::Leave);
        }
    }

    fn message(&mut self, message: &Utf8Bytes) -> Flow {
        match socket::packet(message) {
            Some(Packet::Event { name, data, ack }) => {
                if let Some(id) = ack {
                    self.link.acknowledge(id);
                }
                self.event(name, data);
            }
            Some(Packet::Ack { id, data }) => {
                if let Some(about) = self.link.answered(id) {
                    self.answer(id, about, answer::accept(data));
                }
            }
            Some(Packet::Disconnect) if self.has_expired() => return self.lost(),
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
                if let Some(message) = read::<RawMessage>(data)
                    && let Some(room) = rooms.get_mut(&*message.room_id)
                {
                    room.on_event(message, link, hub);
                }
            }
            event::POSITION => {
                if let Some(Position { room_id, epoch, seq }) = read(data)
                    && let Some(room) = rooms.get_mut(&*room_id)
                {
                    room.on_position(At { epoch, seq }, link, hub);
                }
            }
            event::LEFT | event::ROOM_DELETED => {
                if let Some(InRoom { room_id }) = read(data)
                    && let Some(room) = rooms.remove(&*room_id)
                {
                    room.end(|| RequestError::Left);
                }
            }
            event::DRAINING => {
                if let Some(Draining { reconnect_after_ms }) = read(data) {
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

    fn answer(&mut self, id: u64, about: About, answer: Result<&RawValue, Refusal>) {
        let Self { link, hub, .. } = self;
        if about == About::Refresh {
            match answer.map_err(RequestError::from).and_then(answer::read) {
                Ok(Authenticated { expires_at }) => self.expires_at(expires_at),
                Err(error) => hub.tell(ClientError::Refresh(error)),
            }
            return;
        }
        let Some(room_id) = about.room() else {
            if let Some(pause) = self.outbox.answered(id, answer) {
                link.timers.after(pause, Due::Again(about));
            }
            return;
        };
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        if let Err(Over(refusal)) = room.answer(id, &about, answer, link, hub) {
            let room_id = room_id.clone();
            if let Some(room) = self.rooms.remove(&room_id) {
                if room.was_joined() {
                    let (room_id, refusal) = (room_id.to_string(), refusal.clone());
                    self.hub.tell(ClientError::Room { room_id, refusal });
                }
                room.end(|| refusal.clone().into());
            }
        }
    }

    /// Says goodbye, to the server and to everybody who waits.
    async fn end(mut self) {
        // Whoever asks from now on is told at once.
        self.commands.close();
        for (_, room) in self.rooms.drain() {
            room.end(|| RequestError::Closed);
        }
        self.outbox.fail(|| RequestError::Closed);
        if let Some(socket) = self.link.down() {
            socket.close().await;
        }
        self.hub.errors.end();
        self.hub.direct.end();
        self.hub.state.send_replace(State::Closed);
    }
}

fn read<'a, T: serde::Deserialize<'a>>(data: &'a RawValue) -> Option<T> {
    serde_json::from_str(data.get()).ok()
}

/// What a future comes to, if there is one.
async fn some<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
