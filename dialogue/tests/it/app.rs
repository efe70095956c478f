//! The app that most tests use: it writes down which hooks run, and does what messages tell it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use dialogue::{
    AnyRoom, App, Client, Context, Deny, DisconnectReason, Event, EventMessage, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "message", history = 100)]
pub struct Message {
    #[validate(length(min = 1, max = 2000))]
    pub text: String,
    #[serde(default)]
    pub n: u64,
}

impl Message {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), n: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    pub is_typing: bool,
}

/// Only the server says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 3)]
pub struct Notice {
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Ping;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
pub struct Count(pub u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    Circle { radius: f64 },
    Square(f64),
    Point,
}

/// Where most happens.
#[dialogue::room(
    "general",
    app = Test,
    name = "General",
    events(Message, Typing, Ping, Count, Shape),
    server_events(Notice),
    subscribe(Message, Notice),
    sync_history = 5,
)]
pub mod general {
    use super::*;

    #[before]
    async fn obey(cx: &Context<Test, Room>, message: &mut Message) -> Result<(), Deny> {
        message.text = message.text.trim().to_owned();
        match &*message.text {
            "deny" => return Err(Deny::new("not that")),
            "panic" => panic!("told to"),
            "hang" => {
                cx.app().note("hanging".into());
                std::future::pending::<()>().await;
            }
            "slow" => {
                cx.app().note("working".into());
                tokio::time::sleep(Duration::from_millis(200)).await;
                cx.app().note("done".into());
            }
            "empty" => message.text.clear(),
            "again" => {
                cx.room().trigger(Message::new("again")).await.map_err(|_| Deny::new("no end"))?;
            }
            _ => {}
        }
        Ok(())
    }

    #[before]
    async fn shout(cx: &Context<Test, Room>, message: &mut Message) -> Result<(), Deny> {
        if message.text == "order" {
            tokio::task::yield_now().await;
        }
        if let Some(text) = message.text.strip_prefix("shout ") {
            message.text = text.to_uppercase();
        }
        cx.app().note(format!("before {}", message.text));
        Ok(())
    }

    #[on]
    async fn first(cx: &Context<Test, Room>, message: &EventMessage<Message>) {
        assert_ne!(message.data.text, "panic later", "told to");
        tokio::task::yield_now().await;
        cx.app().note(format!("on {} from {}", message.data.text, message.from));
    }

    // Handlers need not be async.
    #[on]
    fn second(cx: &Context<Test, Room>, message: &EventMessage<Message>) {
        cx.app().note(format!("second on {}", message.data.text));
    }

    #[joined]
    async fn hello(cx: &Context<Test, Room>, client: &Client<Test>) {
        cx.app().note(format!("general: joined {} size {}", client.user_id(), cx.room().size()));
    }

    #[left]
    async fn goodbye(cx: &Context<Test, Room>, client: &Client<Test>) {
        cx.app().note(format!("general: left {} size {}", client.user_id(), cx.room().size()));
    }
}

#[dialogue::room("single", app = Test, events(Ping), max_size = 1)]
pub mod single {}

#[dialogue::room("doc:{id}", app = Test, events(Message), max_size = 20, sync_history = all)]
pub mod doc {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Room {
        pub id: u32,
    }

    #[before_join]
    async fn may_read(cx: &Context<Test, Room>, client: &Client<Test>) -> Result<(), Deny> {
        cx.app().note(format!("doc {}: may {} read?", cx.room().key().id, client.user_id()));
        match client.user_id() {
            "eve" => Err(Deny::new("not a reader")),
            "crash" => panic!("told to"),
            _ => Ok(()),
        }
    }
}

#[dialogue::room("doc:7", events(Ping))]
pub mod special {}

#[dialogue::room("open", app = Test, events(Message, any), server_events(Notice))]
pub mod open {
    use super::*;

    #[on]
    async fn seen(cx: &Context<Test, Room>, message: &EventMessage<Message>) {
        cx.app().note(format!("open: {}", message.data.text));
    }
}

#[dialogue::room("news", server_events(Notice), subscribe())]
pub mod news {}

#[derive(Clone, Default)]
pub struct Test {
    notes: Arc<Mutex<Vec<String>>>,
    /// The client of the user called `puppet`.
    pub puppet: Arc<Mutex<Option<Client<Test>>>>,
}

impl Test {
    pub fn note(&self, note: String) {
        self.notes.lock().unwrap().push(note);
    }

    /// Takes what was noted so far.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }

    /// Waits until so many things were noted, and takes them.
    pub async fn noted(&self, count: usize) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.notes.lock().unwrap().len() < count {
            assert!(tokio::time::Instant::now() < deadline, "only {:?}", self.notes.lock());
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        self.notes()
    }
}

#[dialogue::app(rooms(general, single, doc, special, open, news, protocol::board))]
impl App for Test {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        match who.user_id.as_deref() {
            Some("nobody") => Err(Deny::new("you are \"nobody\"")),
            Some("panic") => panic!("told to"),
            Some("cookie") if handshake.headers().contains_key("cookie") => {
                Err(Deny::new("a cookie came through"))
            }
            _ => who.or_client_id(handshake),
        }
    }

    async fn connected(&self, client: &Client<Self>) {
        match client.user_id() {
            "noted" => self.note("connected".into()),
            "puppet" => *self.puppet.lock().unwrap() = Some(client.clone()),
            "guest" => client.join(general::Room).await.unwrap(),
            "kicked" => client.disconnect(),
            "crash on connect" => panic!("told to"),
            _ => {}
        }
    }

    async fn disconnected(&self, client: &Client<Self>, reason: DisconnectReason) {
        if client.user_id() == "noted" {
            let mut rooms = client.rooms();
            rooms.sort();
            self.note(format!("disconnected {reason:?} in {rooms:?}"));
        }
    }

    async fn before_join(&self, client: &Client<Self>, room: &AnyRoom<Self>) -> Result<(), Deny> {
        if client.user_id() == "noted" {
            self.note(format!("before_join {}", room.id()));
        }
        if client.user_id() == "banned" {
            return Err(Deny::new(format!("not into {}", room.name())));
        }
        Ok(())
    }

    async fn joined(&self, client: &Client<Self>, room: &AnyRoom<Self>) {
        if client.user_id() == "noted" {
            self.note(format!("joined {}", room.id()));
        }
    }

    async fn left(&self, client: &Client<Self>, room: &AnyRoom<Self>) {
        if client.user_id() == "noted" {
            self.note(format!("left {}", room.id()));
        }
        if client.user_id() == "puppet" && room.id() == "doc:1" {
            std::future::pending::<()>().await;
        }
    }
}
