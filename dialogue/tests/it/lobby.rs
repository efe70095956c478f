//! An app with every hook, rooms that are created at run time, and rooms that not everybody sees.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use dialogue::{
    AnyRoom, App, Client, Context, CreateRoom, Deny, DisconnectReason, Event, EventConfig,
    EventMessage, Handshake, Identity, RawMessage, RoomConfig, RoomInfo, Socket,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use validator::Validate;

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(history = 10)]
pub struct Say {
    #[validate(length(min = 1, max = 100))]
    pub text: String,
}

impl Say {
    pub fn new(text: &str) -> Self {
        Self { text: text.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(rate = "3/h")]
pub struct Poke;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Score {
    pub points: u32,
}

/// Sent to one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "welcome")]
pub struct Welcome {
    #[validate(length(min = 1))]
    pub motd: String,
}

/// Where everybody meets.
#[dialogue::room("hall", app = Lobby, name = "Hall", events(Say, Poke), server_events(Score), sync_history = 5)]
pub mod hall {
    use super::*;

    #[before_join]
    async fn enter(cx: &Context<Lobby, Room>, _: &Client<Lobby>) -> Result<(), Deny> {
        cx.app().note("hall: before_join");
        Ok(())
    }

    #[joined]
    async fn hello(cx: &Context<Lobby, Room>, _: &Client<Lobby>) {
        tracing::info!("somebody is here");
        cx.app().note("hall: joined");
    }

    #[left]
    async fn goodbye(cx: &Context<Lobby, Room>, _: &Client<Lobby>) {
        cx.app().note("hall: left");
    }

    #[before]
    async fn first(cx: &Context<Lobby, Room>, say: &mut Say) -> Result<(), Deny> {
        cx.app().note("hall: before 1");
        say.text = say.text.trim().to_owned();
        Ok(())
    }

    #[before]
    async fn second(cx: &Context<Lobby, Room>, _: &mut Say) -> Result<(), Deny> {
        cx.app().note("hall: before 2");
        Ok(())
    }

    #[on]
    async fn heard(cx: &Context<Lobby, Room>, say: &EventMessage<Say>) {
        cx.app().note(format!("hall: on {} from {}", say.data.text, say.from));
    }
}

/// Only for members of staff, and unknown to others.
#[dialogue::room("staff", app = Lobby, events(Say))]
pub mod staff {}

/// Opens when it is used; nobody finds it in a list.
#[dialogue::room("desk:{name}", app = Lobby, events(Say))]
pub mod desk {
    #[derive(Clone)]
    pub struct Room {
        pub name: String,
    }
}

/// A table must be set before anybody sits down.
#[dialogue::room(
    "table:{number}",
    app = Lobby,
    events(Say),
    sync_history = all,
    create = "explicit",
    listed
)]
pub mod table {
    use super::*;

    #[derive(Clone)]
    pub struct Room {
        pub number: u32,
    }

    #[left]
    async fn up(cx: &Context<Lobby, Room>, client: &Client<Lobby>) {
        let number = cx.room().key().number;
        cx.app().note(format!("{} left table {number} of {}", client.user_id(), cx.room().size()));
    }
}

/// Anything goes, and `Say` is still a `Say`.
#[dialogue::room("playground", app = Lobby, events(Say, any), subscribe(all))]
pub mod playground {}

pub struct Guest {
    pub id: String,
    pub staff: bool,
    pub expires_at: Option<SystemTime>,
}

impl Identity for Guest {
    fn user_id(&self) -> &str {
        &self.id
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ticket {
    pub user_id: String,
    pub staff: bool,
    /// For so many milliseconds.
    pub valid: Option<u64>,
}

#[derive(Clone, Default)]
pub struct Lobby {
    notes: Arc<Mutex<Vec<String>>>,
}

impl Lobby {
    pub fn note(&self, note: impl Into<String>) {
        self.notes.lock().unwrap().push(note.into());
    }

    /// Waits until so many things were noted, and takes them.
    pub async fn noted(&self, count: usize) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.notes.lock().unwrap().len() < count {
            assert!(tokio::time::Instant::now() < deadline, "only {:?}", self.notes.lock());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        std::mem::take(&mut *self.notes.lock().unwrap())
    }

    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }
}

#[dialogue::app(rooms(hall, staff, desk, table, playground), direct(Welcome))]
impl App for Lobby {
    type Credentials = Ticket;
    type Identity = Guest;

    async fn authenticate(&self, ticket: Ticket, _: &Handshake) -> Result<Guest, Deny> {
        self.note("authenticate");
        let Ticket { user_id: id, staff, valid } = ticket;
        let expires_at = valid.map(|ms| SystemTime::now() + Duration::from_millis(ms));
        Ok(Guest { id, staff, expires_at })
    }

    async fn socket_connected(&self, socket: &Socket) {
        self.note("socket_connected");
        socket.emit("server-info", &json!({ "version": "1.0.0" })).unwrap();
    }

    async fn socket_disconnected(&self, socket: &Socket) {
        self.note(format!("socket_disconnected, connected: {}", socket.connected()));
    }

    async fn connected(&self, client: &Client<Self>) {
        self.note("connected");
        if client.user_id() == "newcomer" {
            client.send(Welcome { motd: "Be kind.".into() }).await.unwrap();
        }
    }

    async fn disconnected(&self, client: &Client<Self>, _: DisconnectReason) {
        self.note(format!("disconnected in {:?}", client.rooms()));
    }

    fn sees(&self, client: &Client<Self>, room: &RoomInfo) -> bool {
        assert_ne!(client.user_id(), "cross-eyed", "told to");
        let secret = room.id == "staff" || room.name.starts_with("Secret");
        client.identity().staff || !secret
    }

    async fn before_join(&self, _: &Client<Self>, room: &AnyRoom<Self>) -> Result<(), Deny> {
        self.note(format!("before_join {}", room.id()));
        Ok(())
    }

    async fn joined(&self, _: &Client<Self>, room: &AnyRoom<Self>) {
        self.note(format!("joined {}", room.id()));
    }

    async fn left(&self, client: &Client<Self>, room: &AnyRoom<Self>) {
        self.note(format!("{} left {}", client.user_id(), room.id()));
    }

    async fn create_room(
        &self,
        client: &Client<Self>,
        request: CreateRoom,
    ) -> Result<RoomConfig, Deny> {
        match client.user_id() {
            "broken" => panic!("told to"),
            "careless" => Ok(request.config().event::<Say>().event::<Say>()),
            "mute" => Ok(request.config().event::<Poke>()),
            "banned" => Err(Deny::new("not you")),
            _ => {
                let dice = json!({ "type": "integer", "minimum": 1, "maximum": 6 });
                let roll = EventConfig::new("roll").schema(dice).history(3);
                Ok(request.config().event::<Say>().event_with(roll))
            }
        }
    }

    async fn room_created(&self, room: &AnyRoom<Self>) {
        self.note(format!("room_created {} by {:?}", room.id(), room.created_by()));
    }

    async fn room_deleted(&self, room_id: &str) {
        self.note(format!("room_deleted {room_id}"));
    }

    fn before_each(&self, message: &mut RawMessage) -> Result<(), Deny> {
        self.note(format!("before_each {}", message.event));
        let text = message.data.get().to_owned();
        assert!(!text.contains("panic each"), "told to");
        if text.contains("deny each") {
            return Err(Deny::new("not in any room"));
        }
        if text.contains("darn") {
            let mended = text.replace("darn", "****");
            message.data = serde_json::value::RawValue::from_string(mended).unwrap();
        }
        if text.contains("void each") {
            message.data = serde_json::value::to_raw_value(&json!({ "text": "" })).unwrap();
        }
        if text.contains("disguise") {
            message.from = "somebody".into();
            message.event = "another".into();
            message.room_id = "elsewhere".into();
            message.meta.get_or_insert_default().insert("disguised", true).unwrap();
        }
        Ok(())
    }

    fn after_each(&self, message: &RawMessage, recipients: usize) {
        self.note(format!("after_each {} to {recipients}", message.event));
        assert!(!message.data.get().contains("panic after"), "told to");
    }

    async fn triggered(&self, message: &RawMessage) {
        self.note(format!("triggered {} {}", message.event, message.data));
    }
}
