//! The handle of a connection.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dialogue::{
    Event, Room as RoomKey,
    protocol::{Authenticated, CreateRoom, InRoom, ListRooms, RoomCreated, RoomInfo, Rooms, event},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout_at,
};

use crate::{
    Room, State, answer,
    command::Command,
    config::Config,
    connection::Connection,
    direct::Direct,
    error::{ClientError, Failed, JoinError, RequestError},
    feed::{Feed, Listeners},
    hub::Hub,
    link::RoomId,
    room::ById,
    shared::Shared,
    socket::Socket,
    timers,
    who::Who,
};

/// How many commands wait for the connection's task.
const COMMANDS: usize = 64;

/// A connection to a Dialogue server, and what keeps it: it comes back by itself when it is lost.
///
/// Cloning makes another handle of the same connection. When the last handle is dropped, and the last room
/// and stream, the connection is closed.
///
/// ```no_run
/// # async fn chat() -> Result<(), Box<dyn std::error::Error>> {
/// use dialogue_client::Client;
/// use protocol::{Note, board};
///
/// let client = Client::builder("ws://localhost:3000").connect().await?;
/// let board = client.join(board::Room { team: "red".into() }).await?;
/// let mut notes = board.on::<Note>();
/// board.trigger(Note { text: "hello".into() }).await?;
/// while let Some(note) = notes.next().await {
///     println!("{}: {}", note.from, note.data.text);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl Client {
    pub(crate) fn start(config: Arc<Config>, socket: Socket, is: Who) -> Self {
        let (commands, received) = mpsc::channel(COMMANDS);
        let state = watch::Sender::new(State::Connected);
        let who = watch::Sender::new(Who::default());
        let (direct, errors) = (Arc::new(Direct::default()), Arc::new(Listeners::new()));
        let shared = Shared {
            config: config.clone(),
            commands,
            turns: Arc::new(Semaphore::new(config.requests)),
            state: state.subscribe(),
            who: who.subscribe(),
            direct: direct.clone(),
            errors: errors.clone(),
        };
        let hub = Hub::new(errors, direct, state, who);
        let connection = Connection::new(config, received, hub, socket, is);
        tokio::spawn(connection.run());
        Self { shared: Arc::new(shared) }
    }

    /// Joins a room, or comes back with another handle of a room that is joined.
    ///
    /// The room is joined again whenever the connection comes back, with the defaults that it has by then and
    /// the events of all streams, until it is left: by [`Room::leave`],
    /// or a moment after its last handle and stream were dropped.
    pub fn join<R: RoomKey>(&self, room: R) -> BoxFuture<'_, Result<Room<R>, JoinError>> {
        // Boxed, so that a type that is no room is one mistake and not three.
        Box::pin(self.enter_room(room.id().into(), room))
    }

    /// Joins a room by an id that is known at run time alone: of one that was created, or is in the list
    /// of [`rooms`](Client::rooms). Its events are those of `R`, whatever id `R` has.
    ///
    /// The server knows which events the room really lists: one that it does not is refused with
    /// `EVENT_NOT_ALLOWED`, in the answer to a trigger, or as [`ClientError::Room`] to whoever listens.
    /// On the server, `RoomConfig::events_of::<R>()` has a created room list the same.
    ///
    /// ```no_run
    /// # use dialogue_client::{Client, CreateRoom};
    /// # use protocol::{Note, board};
    /// # async fn open(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let created = client.create_room(CreateRoom::new("ideas", "Ideas")).await?;
    /// let ideas = client.join_id::<board::Room>(&created.id).await?;
    /// ideas.trigger(Note { text: "a hammock".into() }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_id<R: RoomKey>(
        &self,
        room_id: &str,
    ) -> BoxFuture<'_, Result<Room<R, ById>, JoinError>> {
        Box::pin(self.enter_room(room_id.into(), ById))
    }

    async fn enter_room<R: RoomKey, K>(
        &self,
        id: RoomId,
        joined_by: K,
    ) -> Result<Room<R, K>, JoinError> {
        let deadline = timers::after(self.shared.config.request_timeout);
        let joined = async {
            let (reply, joined) = oneshot::channel();
            self.shared.command(Command::Join { id, reply }).await?;
            joined.await.map_err(|_| Failed::Closed)?
        };
        let core = timeout_at(deadline, joined).await.unwrap_or(Err(Failed::Timeout))?;
        Ok(Room::new(joined_by, core, self.shared.clone()))
    }

    /// What the server sends to this client alone, outside any room, from now on.
    ///
    /// Of events that nobody listened to yet, the latest 32 are kept for whoever does first: a server may
    /// greet a client before it can listen.
    pub fn on<E: Event>(&self) -> Feed<E> {
        let receiver = self.shared.direct.listen(self.shared.errors.clone());
        Feed::new(receiver, self.shared.clone())
    }

    /// What goes wrong without being asked for, from now on.
    pub fn errors(&self) -> Feed<Arc<ClientError>> {
        Feed::new(self.shared.errors.listen(), self.shared.clone())
    }

    /// Whether the client is connected at this moment.
    pub fn state(&self) -> State {
        *self.shared.state.borrow()
    }

    /// The state as it changes: `changed()` waits for another one, `wait_for(..)` for a certain one. It
    /// does not keep the client going.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// Who authentication proved this client to be.
    pub fn user_id(&self) -> Arc<str> {
        self.shared.who.borrow().user_id.clone()
    }

    /// The id of the connection, which is another one after each loss.
    pub fn id(&self) -> Arc<str> {
        self.shared.who.borrow().client_id.clone()
    }

    /// The hash of the server's contract, if it is another one than that given to
    /// [`Builder::contract`](crate::Builder::contract).
    pub fn contract(&self) -> Option<Arc<str>> {
        self.shared.who.borrow().contract.clone()
    }

    /// The rooms that this client may see: asked for page by page, up to 1,000 pages.
    pub async fn rooms(&self) -> Result<Vec<RoomInfo>, RequestError> {
        /// How many pages a list has at most: a server that always says there is another is not believed.
        const PAGES: usize = 1_000;
        let (mut all, mut asked) = (Vec::new(), ListRooms::default());
        for _ in 0..PAGES {
            let answer = self.shared.ask(None, event::LIST_ROOMS, &asked, true).await?;
            let Rooms { rooms, next } = answer::read(&answer)?;
            all.extend(rooms.into_owned());
            if next.is_none() || next == asked.after {
                break;
            }
            asked.after = next;
        }
        Ok(all)
    }

    /// Creates a room, if the app lets this client. It is not repeated if the connection is lost
    /// meanwhile.
    pub async fn create_room(&self, room: CreateRoom) -> Result<RoomInfo, RequestError> {
        let answer = self.shared.ask(None, event::CREATE_ROOM, &room, false).await?;
        let RoomCreated { room } = answer::read(&answer)?;
        Ok(room.into_owned())
    }

    /// Deletes a room that this user created. It is not repeated if the connection is lost meanwhile.
    pub async fn delete_room(&self, room_id: &str) -> Result<(), RequestError> {
        let room = InRoom { room_id: room_id.into() };
        self.shared.ask(None, event::DELETE_ROOM, &room, false).await?;
        Ok(())
    }

    /// Sends new credentials of the same user on the open connection. Returns when they expire, by the
    /// server's clock; `None` if the server names no time.
    ///
    /// The client does so by itself, a minute before its credentials expire, or after half of the time that they
    /// last if that is later. Between two such requests is at least a second. Call this when the credentials
    /// have changed before they expire.
    ///
    /// Credentials that no connection could present, of about 65,500 bytes or more, are not sent:
    /// [`RequestError::TooLarge`].
    pub async fn authenticate(&self) -> Result<Option<SystemTime>, RequestError> {
        let credentials = self.shared.config.credentials().await;
        let credentials = credentials.map_err(RequestError::Credentials)?;
        let answer = self.shared.ask(None, event::AUTHENTICATE, &credentials, true).await?;
        let Authenticated { expires_at, .. } = answer::read(&answer)?;
        // A moment that this system cannot tell never comes.
        Ok(expires_at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_millis(at))))
    }

    /// Leaves all rooms and closes the connection, for all handles; streams end. Returns when that is
    /// done.
    pub async fn close(&self) {
        // Whoever is closed takes no commands.
        let _ = self.shared.command(Command::Close).await;
        let _ = self.states().wait_for(|state| *state == State::Closed).await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = f.debug_struct("Client");
        client.field("user_id", &self.user_id()).field("state", &self.state());
        client.finish_non_exhaustive()
    }
}
