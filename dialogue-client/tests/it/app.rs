//! The app that the tests connect to.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use dialogue::{AnyRoom, App, Client, Context, Deny, Event, Handshake, Identity, RoomConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use validator::Validate;

/// Kept for as long as any test runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(history = 1_000_000)]
pub struct Tick {
    #[validate(length(max = 20))]
    pub by: String,
    pub n: u64,
}

/// The same by another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 1_000_000)]
pub struct Chime {
    pub by: String,
    pub n: u64,
}

/// Of which the server keeps three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 3)]
pub struct Scarce {
    pub n: u64,
}

/// Nobody minds if it is lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Blink {
    pub n: u64,
}

/// Only the server rings it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Bell;

/// To one client alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Welcome {
    pub to: String,
}

#[dialogue::room(
    "square",
    app = Town,
    name = "The square",
    events(Tick, Chime, Scarce, Blink),
    server_events(Bell),
    subscribe(Tick, Scarce, Blink, Bell),
)]
pub mod square {
    use super::*;

    #[before]
    async fn decent(_: &Context<Town, Room>, tick: &mut Tick) -> Result<(), Deny> {
        if tick.by == "mallory" { Err(Deny::new("not from you")) } else { Ok(()) }
    }
}

#[dialogue::room(
    "house:{number}",
    app = Town,
    events(Tick, Blink, Chime),
    subscribe(Tick, Blink),
    max_size = 2,
)]
pub mod house {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Room {
        pub number: u64,
    }

    #[before_join]
    async fn at_home(cx: &Context<Town, Room>, _: &Client<Town>) -> Result<(), Deny> {
        let number = cx.room().key().number;
        if number == 14 {
            cx.app().note(Noted::Knocked);
            std::future::pending::<()>().await;
        }
        // Nobody is at home the first time.
        let first = number == 15 && cx.app().locked.lock().unwrap().remove(&number);
        let locked = first || number == 13 || cx.app().locked.lock().unwrap().contains(&number);
        if locked { Err(Deny::new("nobody lives here")) } else { Ok(()) }
    }
}

/// What goes on in a building, of whatever id; the app lists none.
#[dialogue::room("building", events(Tick, Blink, Chime), server_events(Bell), subscribe(Tick))]
pub mod building {}

/// What clients send when they connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    pub user: String,
    /// For how many milliseconds it is good.
    pub lasts: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Citizen {
    user: String,
    until: Option<SystemTime>,
}

impl Identity for Citizen {
    fn user_id(&self) -> &str {
        &self.user
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.until
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    Authenticated(String),
    /// At number 14, where it takes for ever until somebody opens.
    Knocked,
    Joined(String, String),
    Left(String, String),
    Disconnected(String),
}

#[derive(Clone)]
pub struct Town {
    pub notes: broadcast::Sender<Noted>,
    /// Who is not let in.
    pub banned: Arc<Mutex<HashSet<String>>>,
    /// Houses that nobody enters.
    pub locked: Arc<Mutex<HashSet<u64>>>,
}

impl Default for Town {
    fn default() -> Self {
        Self {
            notes: broadcast::Sender::new(1_024),
            banned: Arc::default(),
            locked: Arc::default(),
        }
    }
}

impl Town {
    fn note(&self, noted: Noted) {
        let _ = self.notes.send(noted);
    }
}

#[dialogue::app(rooms(square, house), direct(Welcome))]
impl App for Town {
    type Credentials = Login;
    type Identity = Citizen;

    async fn authenticate(&self, login: Login, _: &Handshake) -> Result<Citizen, Deny> {
        let Login { user, lasts } = login;
        if self.banned.lock().unwrap().contains(&user) {
            return Err(Deny::new("you are banned"));
        }
        self.note(Noted::Authenticated(user.clone()));
        let until = lasts.map(|millis| SystemTime::now() + Duration::from_millis(millis));
        Ok(Citizen { user, until })
    }

    async fn connected(&self, client: &Client<Self>) {
        client.send(Welcome { to: client.user_id().to_owned() }).await.ok();
    }

    async fn disconnected(&self, client: &Client<Self>, _: dialogue::DisconnectReason) {
        self.note(Noted::Disconnected(client.user_id().to_owned()));
    }

    async fn joined(&self, client: &Client<Self>, room: &AnyRoom<Self>) {
        self.note(Noted::Joined(client.user_id().to_owned(), room.id().to_owned()));
    }

    async fn left(&self, client: &Client<Self>, room: &AnyRoom<Self>) {
        self.note(Noted::Left(client.user_id().to_owned(), room.id().to_owned()));
    }

    async fn create_room(
        &self,
        client: &Client<Self>,
        request: dialogue::CreateRoom,
    ) -> Result<RoomConfig, Deny> {
        // Any event at all, of which members receive these by default.
        let any = |events: &[&'static str]| {
            let config = request.config().event::<Blink>().server_event::<Bell>();
            config.events_any().subscribe(events.iter().copied())
        };
        if client.user_id() == "mayor" {
            match &*request.name {
                "Yard" => return Ok(any(&["blink"])),
                "Yard with a bell" => return Ok(any(&["blink", "bell"])),
                _ => {}
            }
            let empty = request.name.starts_with("Empty");
            let config = request.config();
            Ok(if empty { config.event::<Blink>() } else { config.events_of::<building::Room>() })
        } else {
            Err(Deny::new("only the mayor builds"))
        }
    }
}
