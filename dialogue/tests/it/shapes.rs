//! Code of every shape that users write: the macros leave its names alone.
#![deny(clippy::needless_update, unused_imports)]

use std::sync::Mutex;

use dialogue::{
    App, Client, Context, Deny, Dialogue, Event, EventMessage, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Default)]
struct Shapes(Mutex<Vec<&'static str>>);

/// Names of the expansion's own locals, of keywords and of the standard library, all users' names.
#[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
struct Note {
    text: String,
}

type Notes = EventMessage<Note>;

#[dialogue::room("names", app = Shapes, events(Note))]
mod names {
    use super::*;

    #[before]
    async fn data(_: &Context<Shapes, Room>, note: &mut Note) -> Result<(), Deny> {
        note.text.push('.');
        Ok(())
    }

    #[on]
    async fn message(cx: &Context<Shapes, Room>, _: &Notes) {
        cx.app().saw("message");
    }

    #[on]
    async fn about(cx: &Context<Shapes, Room>, _: &EventMessage<Note>) {
        cx.app().saw("about");
    }

    #[on]
    async fn lifetimes<'a>(cx: &'a Context<Shapes, Room>, _: &'a EventMessage<Note>) {
        cx.app().saw("lifetimes");
    }

    #[before_join]
    async fn client(_: &Context<Shapes, Room>, _: &Client<Shapes>) -> Result<(), Deny> {
        Ok(())
    }

    #[joined]
    async fn cx(_: &Context<Shapes, Room>, _: &Client<Shapes>) {}

    #[left]
    async fn on(_: &Context<Shapes, Room>, _: &Client<Shapes>) {}
}

#[dialogue::room("keys:{type}:{id}:{text}", events(Note))]
mod keys {
    #[derive(Clone, Debug, PartialEq)]
    pub struct Room {
        pub r#type: String,
        pub id: u8,
        pub text: String,
    }
}

/// An empty list and `any` are lists too.
#[dialogue::room("nothing")]
mod nothing {}

#[dialogue::room("anything", app = Shapes, events(Note, any))]
mod anything {
    use super::*;

    #[on]
    async fn listed(cx: &Context<Shapes, Room>, _: &EventMessage<Note>) {
        cx.app().saw("listed");
    }
}

/// What a user's own macros make.
macro_rules! counter {
    ($room:ident, $id:literal, $event:ident, $handler:ident, $field:ident: $type:ty) => {
        #[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
        struct $event {
            #[validate(nested)]
            $field: $type,
        }

        #[dialogue::room($id, app = Shapes, events($event))]
        mod $room {
            use super::*;

            #[derive(Clone)]
            pub struct Room {
                pub $field: u8,
            }

            #[on]
            async fn $handler(cx: &Context<Shapes, Room>, _: &EventMessage<$event>) {
                cx.app().saw(stringify!($handler));
            }
        }
    };
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate, dialogue::Payload)]
struct Amount {
    #[validate(range(min = 1))]
    n: u8,
}

counter!(counted, "counted:{value}", Counted, message_of_a_macro, value: Amount);

#[dialogue::app(rooms(names, keys, nothing, anything, counted))]
impl App for Shapes {
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

impl Shapes {
    fn saw(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }
}

#[tokio::test]
async fn handlers_run_whatever_they_are_called() {
    let dialogue = Dialogue::builder(Shapes::default()).build().await.unwrap();
    let note = || Note { text: "hi".into() };
    let _ = dialogue.room(names::Room).trigger(note()).await.unwrap();
    let _ = dialogue.room(anything::Room).trigger(note()).await.unwrap();
    let counted = Counted { value: Amount { n: 1 } };
    let _ = dialogue.room(counted::Room { value: 7 }).trigger(counted).await.unwrap();
    let all = ["about", "lifetimes", "listed", "message", "message_of_a_macro"];
    let seen = async {
        loop {
            let mut seen = dialogue.app().0.lock().unwrap().clone();
            seen.sort_unstable();
            if seen == all {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), seen).await.expect("every handler");
}

#[test]
fn a_placeholder_may_have_any_fields_name() {
    use dialogue::Room as _;

    let room = keys::Room { r#type: "a:b".into(), id: 7, text: "é".into() };
    assert_eq!(room.id(), "keys:a%3Ab:7:%C3%A9");
    assert_eq!(keys::Room::parse(&room.id()), Some(room.clone()));
}

#[test]
fn a_macros_event_keeps_its_rules() {
    let issues = Counted { value: Amount { n: 0 } }.check().unwrap_err();
    assert_eq!(issues[0].path, "value.n");
}
