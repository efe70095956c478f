//! Ids and names that people could not tell apart are nobody's.

use dialogue::{
    App, CreateError, Deny, Dialogue, Error, Event, EventConfig, Handshake, RoomConfig,
    TriggerError,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::Test,
    lobby::{Lobby, Say, desk, hall},
    peer::Peer,
    server::{Server, unpaced},
};

/// What looks like nothing, like other text, or like the server.
const HIDDEN: [&str; 9] = [
    "an\u{200b}n",
    "ann\u{202e}",
    "ann\u{2028}",
    "ann\u{e000}",
    "ann\u{378}",
    "ann\u{3164}",
    "\u{301}ann",
    "Zoe\u{308}",
    "ann ",
];

/// What people in the world have for names.
const NAMES: [&str; 6] = ["ann@example.com", "Zoë Müller", "李小龍", "محمد", "김철수", "🐸"];

#[tokio::test]
async fn user_id_that_cannot_be_told_apart_is_refused() {
    let server = Server::start(Test::default()).await;
    let connect =
        async |id: &str| Peer::connect(server.address, &json!({ "userId": id }).to_string()).await;
    let like_system = ["System", "SYSTEM", "systern", "ѕуѕtеm", "ｓｙｓｔｅｍ", "ꜱʏꜱᴛᴇᴍ"];
    for id in HIDDEN.iter().chain(&like_system) {
        let error = connect(id).await.err().unwrap();
        assert_eq!(error["code"], "UNAUTHENTICATED", "{id:?}");
    }
    for id in NAMES {
        assert_eq!(connect(id).await.unwrap().user_id, id);
    }
}

#[tokio::test]
async fn created_room_that_cannot_be_told_apart_is_refused() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    let mut create = async |id: &str, name: &str| -> Value {
        ann.ask("dialogue:createRoom", json!({ "id": id, "name": name })).await["code"].clone()
    };
    for id in HIDDEN {
        assert_eq!(create(id, "Den").await, "INVALID_REQUEST", "{id:?}");
    }
    for id in ["den%E2%80%AE", "den:%20", "den%0A", "%CC%81den"] {
        assert_eq!(create(id, "Den").await, "INVALID_REQUEST", "{id:?}");
    }
    for name in ["Gene\u{202e}lar", "Gene\u{200b}ral", "General\u{200d}", "\u{301}Den", " Den"] {
        assert_eq!(create("den", name).await, "INVALID_REQUEST", "{name:?}");
    }
    for (n, name) in ["Büro", "会议室", "👩\u{200d}💻 Coders", "می\u{200c}خواهم"].iter().enumerate()
    {
        assert_eq!(create(&format!("room {n} é 李"), name).await, Value::Null, "{name}");
    }
}

#[tokio::test]
async fn familys_room_whose_values_cannot_be_told_apart_is_opened_by_nobody() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    for id in HIDDEN {
        let encoded = dialogue::Room::id(&desk::Room { name: id.into() });
        for id in [&format!("desk:{id}"), &*encoded] {
            assert_eq!(ann.join(id).await["code"], "ROOM_NOT_FOUND", "{id:?}");
        }
        let room = server.dialogue.room(desk::Room { name: id.into() });
        assert_eq!(room.trigger(Say::new("hi")).await, Err(TriggerError::RoomNotFound), "{id:?}");
    }
    for name in NAMES {
        let id = dialogue::Room::id(&desk::Room { name: name.into() });
        assert_eq!(ann.join(&id).await["ok"], true, "{id}");
    }
}

#[tokio::test]
async fn event_name_at_run_time_that_cannot_be_told_apart_is_refused() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("playground").await;
    for name in HIDDEN {
        let refused = ann.trigger("playground", name, json!(1)).await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{name:?}");
        let subscribe = json!({ "roomId": "playground", "eventName": name });
        let refused = ann.ask("dialogue:subscribe", subscribe).await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{name:?}");
        let config = RoomConfig::new("Den").event_with(EventConfig::new(name));
        let refused = server.dialogue.create_room("den", config).await.map(drop);
        assert!(matches!(refused, Err(CreateError::InvalidConfig(_))), "{name:?}");
    }
    for name in ["größe:geändert", "消息", "🐸"] {
        assert_eq!(ann.trigger("playground", name, json!(1)).await["ok"], true, "{name}");
    }
}

#[tokio::test]
async fn sender_that_the_servers_code_makes_up_must_be_one_that_users_may_be() {
    let server = Server::start(Lobby::default()).await;
    let room = server.dialogue.room(hall::Room);
    for from in HIDDEN.iter().chain(&["", "a\nERROR fake", "System", "ѕуѕtеm"]) {
        let refused = room.trigger(Say::new("hi")).from(*from).await;
        assert_eq!(refused, Err(TriggerError::InvalidSender((*from).into())), "{from:?}");
        let config = RoomConfig::new("Den").event::<Say>().created_by(*from);
        let refused = server.dialogue.create_room("den", config).await.map(drop);
        assert!(matches!(refused, Err(CreateError::InvalidConfig(_))), "{from:?}");
    }
    let told = TriggerError::InvalidSender("a\nb".into()).to_string();
    assert!(told.starts_with(r#"an event cannot be from "a\nb": a user id has"#), "{told}");
    for from in NAMES.iter().chain(&[dialogue::SYSTEM]) {
        assert!(room.trigger(Say::new("hi")).from(*from).await.is_ok(), "{from}");
    }

    // Neither does a handler make one up.
    let _guard = room.before(|mut message: dialogue::EventMessage<Say>| async move {
        message.from = "System".into();
        Ok(message)
    });
    assert_eq!(room.trigger(Say::new("hi")).await, Err(TriggerError::Internal));
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    assert_eq!(ann.trigger("hall", "say", json!({ "text": "hi" })).await["code"], "INTERNAL");
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "pi\u{200b}ng")]
struct Hidden;

#[dialogue::room("board", server_events(Hidden))]
mod board {}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("bo\u{202e}ard", events(Ping))]
mod reversed {}

#[dialogue::room("fine", name = "Fi\u{200b}ne", events(Ping))]
mod named {}

macro_rules! app {
    ($app:ident, $($rooms:tt)*) => {
        struct $app;

        #[dialogue::app($($rooms)*)]
        impl App for $app {
            type Credentials = TrustClientUserId;
            type Identity = ClaimedUser;

            async fn authenticate(
                &self,
                who: TrustClientUserId,
                handshake: &Handshake,
            ) -> Result<ClaimedUser, Deny> {
                who.or_client_id(handshake)
            }
        }
    };
}

app!(Events, rooms(board));
app!(Ids, rooms(reversed));
app!(Names, rooms(named));
app!(Directs, rooms(), direct(Hidden));

#[tokio::test]
async fn declared_name_that_cannot_be_told_apart_is_told_when_the_server_is_built() {
    async fn told(app: impl App) -> String {
        let built = Dialogue::builder(app).limits(unpaced()).build().await;
        let Err(Error::Name(told)) = built.map(drop) else { panic!("it was built") };
        told
    }
    for (told, start) in [
        (told(Events).await, r#"invalid event name "pi\u{200b}ng""#),
        (told(Directs).await, r#"invalid event name "pi\u{200b}ng""#),
        (told(Ids).await, r#"the id "bo\u{202e}ard" of a room"#),
        (told(Names).await, r#"the name "Fi\u{200b}ne" of the room `fine`"#),
    ] {
        assert!(told.starts_with(start), "{told}");
    }
}
