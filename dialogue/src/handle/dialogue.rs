//! What the server's own code does with the server.

use crate::{
    AnyRoom, App, Builder, Client, ClientId, CreateError, DeleteError, Dialogue, Hosts, Room,
    RoomConfig, RoomHandle, Stats, UserRooms,
    app::{hosted::Hosted, keyed::Keyed},
    service::create_room,
};

impl<A: App> Dialogue<A> {
    /// Starts to set up a server for an app.
    pub fn builder(app: A) -> Builder<A> {
        Builder::new(app)
    }

    /// A handle of a room, which need not have members nor have been used before.
    pub fn room<R: Room>(&self, room: R) -> RoomHandle<A, R>
    where
        A: Hosts<R>,
    {
        RoomHandle::new(self.clone(), room)
    }

    /// The room with this id, if there is one: declared, created, or of a family that opens when it
    /// is used. What the handle is asked to do is checked at run time.
    pub fn find(&self, id: &str) -> Option<AnyRoom<A>> {
        self.resolve(id)
    }

    /// All open rooms at this moment: the static ones in the order of the app's list, then those
    /// that were created or are in use, the oldest first.
    pub fn rooms(&self) -> Vec<AnyRoom<A>> {
        let all = self.hub().all().into_iter();
        all.map(|live| self.any(live.room())).collect()
    }

    /// Creates a room that no module declares. Clients that may see it are told, soon after.
    ///
    /// ```
    /// # use dialogue::{App, CreateError, Dialogue, Event, RoomConfig};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Event)]
    /// # struct Move { x: i32, y: i32 }
    /// # async fn host<A: App>(games: Dialogue<A>) -> Result<(), CreateError> {
    /// let config = RoomConfig::new("Game session").event::<Move>().max_size(4).created_by("ann");
    /// let room = games.create_room("game-42", config).await?;
    /// assert_eq!((room.size(), room.is_full()), (0, false));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The id must not be one that a declared room or family answers to. The room stays until it is deleted. Where
    /// it has events with history, its log is the one that the app's code left for the same
    /// [creator](RoomConfig::created_by), on any server that shares the store and in any run of it, or a new one.
    /// A log that belongs to another creator, or to a room that a client asked for, is never taken over:
    /// that is [`CreateError::Exists`]. Deleting the room deletes the log, and frees the id.
    ///
    /// A room that a client created ends when it has been empty for [`empty_time`](crate::Limits::empty_time), unless
    /// it has handlers that code added. It ends with the server, too, and so does its log: its id is free as soon as the
    /// store was closed, and ten minutes after the server was last heard of if it was not.
    ///
    /// What code creates does not count towards
    /// [`rooms_per_user`](crate::Limits::rooms_per_user) of its creator until that user asks for rooms.
    pub async fn create_room(
        &self,
        id: &str,
        config: RoomConfig,
    ) -> Result<AnyRoom<A>, CreateError> {
        create_room::create_as(self, id, config, None).await.map(|(room, _)| room)
    }

    /// Deletes a room that was created, or one of a family: its members are in it no more and are
    /// told so, what it kept is gone, and nothing can be triggered there. Clients that may see it
    /// are told. A family's id may be used again, which opens the room anew.
    pub async fn delete_room(&self, id: &str) -> Result<(), DeleteError> {
        match self.find(id) {
            Some(room) => room.delete().await,
            None => Err(DeleteError::RoomNotFound),
        }
    }

    /// The client of a connection.
    pub fn client(&self, id: ClientId) -> Option<Client<A>> {
        self.connected().get(id)
    }

    /// All connected clients at this moment, in no particular order.
    pub fn clients(&self) -> Vec<Client<A>> {
        self.connected().all()
    }

    /// The clients of a user: one per connection, oldest first.
    pub fn clients_of(&self, user_id: &str) -> Vec<Client<A>> {
        self.connected().of_user(user_id)
    }

    /// The rooms that a user is in, by any of its connections.
    ///
    /// ```
    /// # use dialogue::{App, Dialogue};
    /// # async fn evict<A: App>(chat: Dialogue<A>) {
    /// chat.rooms_of("mallory").leave_all(async |room| println!("out of {}", room.id())).await;
    /// # }
    /// ```
    pub fn rooms_of(&self, user_id: &str) -> UserRooms<A> {
        UserRooms::new(self, user_id)
    }

    /// Whether any of a user's connections is in a room.
    pub fn is_in_room<R: Room>(&self, user_id: &str, room: R) -> bool
    where
        A: Hosts<R>,
    {
        let room = Hosted::<A>::new(Keyed::new(room));
        self.clients_of(user_id).iter().any(|client| client.member_of_same(&*room).is_some())
    }

    /// How much of everything there is at this moment.
    pub fn stats(&self) -> Stats {
        let mut stats = self.hub().stats();
        self.connected().count_into(&mut stats);
        stats.addresses = self.transports().addresses();
        stats.stored = self.store().in_memory();
        stats.refused = self.refusals().count();
        stats
    }
}
