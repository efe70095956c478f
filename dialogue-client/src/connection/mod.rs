//! The task that owns a client's connection and everything that depends on it.

mod incoming;
mod leaving;

use std::{collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use dialogue::protocol::event;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::{sync::mpsc, time::Instant};

use self::leaving::Leaving;
use crate::{
    State,
    command::Command,
    config::Config,
    error::{ClientError, ConnectError, Failed, RequestError, TooLarge},
    hub::{Hub, Wanted},
    link::{About, Due, Happened, Link, RoomId},
    membership::Membership,
    request::{Loss, Outbox, Request},
    socket::{Lost, Socket},
    timers::TimerId,
    who::Who,
};

/// How long before credentials expire new ones are sent, at most.
const REFRESH: Duration = Duration::from_mins(1);
/// How long after the server ends a connection with expired credentials this client may still believe them valid: it
/// counts from when it learned how long they last.
const GRACE: Duration = Duration::from_secs(1);
/// How long it takes from one refresh to the next, at least: new credentials may last as short as the old ones.
const BETWEEN: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    config: Arc<Config>,
    commands: mpsc::Receiver<Command>,
    hub: Hub,
    link: Link,
    rooms: HashMap<RoomId, Membership>,
    leaving: HashMap<RoomId, Leaving>,
    /// What is asked outside rooms.
    outbox: Outbox,
    opening: Option<BoxFuture<'static, Result<(Socket, Who), ConnectError>>>,
    /// How many attempts failed in a row.
    failed: u32,
    /// How many connections in a row ended with a message that was too long, before the rooms were restored.
    too_long: u32,
    /// The server goes down, and said how long to stay away.
    stay_away: Option<Duration>,
    /// The server said that the credentials have expired.
    expired: bool,
    /// When they do, if that is known.
    until: Option<Instant>,
    refreshing: Option<BoxFuture<'static, Result<Option<Box<RawValue>>, RequestError>>>,
    refresh: Option<TimerId>,
}

/// What happens next.
enum Next {
    Command(Option<Command>),
    Link(Happened),
    Wanted(Wanted),
    Opened(Result<(Socket, Who), ConnectError>),
    /// There are new credentials.
    Credentials(Result<Option<Box<RawValue>>, RequestError>),
}

/// Whether the client goes on.
type Flow = ControlFlow<()>;
const ON: Flow = Flow::Continue(());
const OVER: Flow = Flow::Break(());

impl Connection {
    pub(crate) fn new(
        config: Arc<Config>,
        commands: mpsc::Receiver<Command>,
        hub: Hub,
        socket: Socket,
        who: Who,
    ) -> Self {
        let mut connection = Self {
            link: Link::new(config.request_timeout),
            config,
            commands,
            hub,
            rooms: HashMap::new(),
            leaving: HashMap::new(),
            outbox: Outbox::default(),
            opening: None,
            failed: 0,
            too_long: 0,
            stay_away: None,
            expired: false,
            until: None,
            refreshing: None,
            refresh: None,
        };
        connection.up(socket, who);
        connection
    }

    pub(crate) async fn run(mut self) {
        while self.step().await.is_continue() {
            self.flush_held();
        }
        self.end().await;
    }

    async fn step(&mut self) -> Flow {
        let next = tokio::select! {
            command = self.commands.recv() => Next::Command(command),
            happened = self.link.happens() => Next::Link(happened),
            wanted = self.hub.wanted() => Next::Wanted(wanted),
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
            Next::Wanted(Wanted::Look) => {
                for room in self.rooms.values_mut() {
                    room.look(&mut self.link, &self.hub);
                }
            }
            Next::Wanted(Wanted::More(id, stream)) => {
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
        match command {
            Command::Join { id, reply } => self.join(id, reply),
            Command::Leave { id, reply } => self.leave(&id, &Failed::Left, Some(reply)),
            Command::Request { room: None, request } => {
                self.outbox.push(request);
                self.flush();
            }
            Command::Request { room: Some(id), request } => match self.rooms.get_mut(&id) {
                Some(room) => room.request(request, &mut self.link),
                None => drop(request.reply.send(Err(Failed::Left))),
            },
            Command::Close => {}
        }
    }

    /// Keeps a room no longer; returns whether it was kept.
    fn forget(&mut self, id: &str, why: &Failed) -> bool {
        let Some(room) = self.rooms.remove(id) else { return false };
        // Answers count no more, not even for whoever joins it again.
        self.link.forget(id);
        room.end(why);
        true
    }

    fn flush(&mut self) {
        let link = &mut self.link;
        if link.is_up() {
            let is_clear = link.is_clear();
            let ask = |it: &Request| link.ask_raw(it.name, &it.payload, About::Request);
            let is_held = self.outbox.flush(is_clear, ask);
            link.is_held |= is_held;
        }
    }

    /// Sends the next request that waited until nothing else is in flight that may be why a connection is lost.
    fn flush_held(&mut self) {
        if self.link.is_held && self.link.is_clear() {
            self.link.is_held = false;
            self.flush();
            self.rooms.values_mut().for_each(|room| room.flush(&mut self.link));
        }
    }

    /// The server has said who this is.
    fn up(&mut self, socket: Socket, who: Who) {
        self.link.up(socket, who.longest);
        let Who { expires, user_id, .. } = who.clone();
        let before = self.hub.who.send_replace(who);
        if before.user_id != user_id {
            self.outbox.change_user();
            self.rooms.values_mut().for_each(Membership::change_user);
        }
        self.hub.state.send_replace(State::Connected);
        self.expired = false;
        if self.too_long < 2 {
            self.failed = 0;
        }
        self.expires(expires, Duration::ZERO);
        // Whoever wanted to join meanwhile may have given up.
        self.rooms.retain(|_, room| room.was_joined() || !room.is_unused());
        for room in self.rooms.values_mut() {
            room.join(&mut self.link);
        }
        self.flush();
    }

    fn opened(&mut self, opened: Result<(Socket, Who), ConnectError>) -> Flow {
        match opened {
            Ok((socket, who)) => {
                self.up(socket, who);
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
        let too_long = self.link.too_long();
        let alone = self.link.has_one_cause(too_long.is_some());
        let is_restoring = self.link.is_restoring();
        self.link.down();
        if let Some(TooLarge { size, limit }) = too_long {
            self.hub.tell(ClientError::TooLong { size, limit });
            if is_restoring {
                self.too_long = self.too_long.saturating_add(1);
                self.failed = self.failed.saturating_add(u32::from(self.too_long > 1));
            }
        }
        self.hub.state.send_replace(State::Reconnecting);
        let loss = Loss { is_limit_known: self.link.knows_limit(), too_long, alone };
        self.outbox.lost(loss);
        self.rooms.values_mut().for_each(|room| room.lost(loss));
        self.all_left();
        self.refreshing = None;
        self.expires(None, Duration::ZERO);
        let at_least = self.stay_away.take().unwrap_or_default();
        self.come_back(at_least)
    }

    /// Connects again in a while, unless that was tried often enough.
    fn come_back(&mut self, at_least: Duration) -> Flow {
        let Some(wait) = self.config.reconnect.wait(self.failed) else { return OVER };
        self.link.timers.after(wait.max(at_least), Due::Connect);
        ON
    }

    /// Sends new credentials before the present ones expire, and not before `at_least` has passed.
    fn expires(&mut self, until: Option<Instant>, at_least: Duration) {
        if let Some(timer) = self.refresh.take() {
            self.link.timers.cancel(timer);
        }
        self.until = until;
        let Some(until) = until else { return };
        let left = until.saturating_duration_since(Instant::now());
        let wait = left.saturating_sub(REFRESH.min(left / 2)).max(at_least);
        self.refresh = Some(self.link.timers.after(wait, Due::Again(About::Refresh)));
    }

    /// Whether the server ends the connection because of its credentials.
    fn has_expired(&self) -> bool {
        self.expired || self.until.is_some_and(|until| until <= Instant::now() + GRACE)
    }

    /// Says goodbye, to the server and to everybody who waits.
    async fn end(mut self) {
        // Whoever asks from now on is told at once.
        self.commands.close();
        for (_, room) in self.rooms.drain() {
            room.end(&Failed::Closed);
        }
        self.leaving.clear();
        self.outbox.fail(&Failed::Closed);
        if let Some(socket) = self.link.down() {
            socket.close().await;
        }
        self.hub.errors.end();
        self.hub.direct.end();
        self.hub.state.send_replace(State::Closed);
    }
}

/// What a future comes to, if there is one.
async fn some<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
