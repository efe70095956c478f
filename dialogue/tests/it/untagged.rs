//! Enums that hold themselves: which of them events may have, and up to which depth.

use std::collections::BTreeMap;

use dialogue::{
    App, CreateError, Deny, Dialogue, Error, Event, Handshake, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::server::{Server, unpaced};

macro_rules! events {
    ($($(#[$on_event:meta])* $name:ident($held:ty);)*) => {$(
        #[derive(Serialize, Deserialize, JsonSchema, Event)]
        $(#[$on_event])*
        struct $name {
            held: $held,
        }
    )*};
}

/// Each variant may hold another.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Twice {
    Left { child: Box<Twice>, left: bool },
    Right { child: Box<Twice>, right: bool },
    Leaf(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Once {
    Leaf(String),
    List(Vec<Once>),
}

/// Holds itself by way of another type.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Around {
    Leaf(u32),
    Page(Page),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Page {
    parts: BTreeMap<String, Around>,
}

/// Never ends: serde overflows the stack with any payload.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Endless {
    Again(Box<Endless>),
    Leaf(u32),
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum OneUntagged {
    Tagged(Box<OneUntagged>),
    #[serde(untagged)]
    Untagged {
        child: Box<OneUntagged>,
    },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Linked {
    next: Option<Box<Linked>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    children: Vec<Tree>,
    named: BTreeMap<String, Tree>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum External {
    Add(Box<External>, Box<External>),
    Not { of: Box<External> },
    Number(f64),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
enum Internal {
    Add { left: Box<Internal>, right: Box<Internal> },
    Not { left: Box<Internal> },
    Number { value: f64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "content")]
enum Adjacent {
    Add(Box<Adjacent>, Box<Adjacent>),
    Not(Box<Adjacent>),
    Number(f64),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Flat {
    Text(String),
    List(Vec<String>),
    Tree(Tree),
}

events! {
    Twices(Twice);
    Onces(Vec<Once>);
    Arounds(Option<Around>);
    Endlesses(Endless);
    OneUntaggeds(OneUntagged);
    Linkeds(Linked);
    Trees(Tree);
    Externals(External);
    Internals(Internal);
    Adjacents(Adjacent);
    Flats(Vec<Flat>);
    #[event(depth = 7)] ShallowTwices(Twice);
    #[event(depth = 8)] DeepTwices(Twice);
    #[event(depth = 8)] ShallowOnces(Once);
    #[event(depth = 8)] ShallowEndlesses(Endless);
}

#[derive(Serialize, Deserialize, JsonSchema, Event)]
#[serde(untagged)]
enum Itself {
    Leaf(u32),
    List(Vec<Itself>),
}

#[dialogue::room("garden", events(Twices))]
mod garden {}

#[dialogue::room("terrace", events(Trees), server_events(Onces))]
mod terrace {}

struct Growing;
struct Grown;

macro_rules! app {
    ($app:ident, $room:ident) => {
        #[dialogue::app(rooms($room))]
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

app!(Growing, garden);
app!(Grown, terrace);

async fn refused(config: RoomConfig) -> String {
    let dialogue = Dialogue::builder(Grown).build().await.unwrap();
    match dialogue.create_room("x", config).await {
        Err(CreateError::InvalidConfig(mistake)) => mistake,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn app_with_recursive_untagged_enum_is_not_built() {
    let Err(error) = Dialogue::builder(Growing).build().await else { panic!("it was built") };
    let Error::UntaggedRecursion { event, holds, fits } = &error else { panic!("{error}") };
    assert_eq!((event.as_str(), holds.as_str(), *fits), ("twices", "Twice", 7));
    assert_eq!(
        error.to_string(),
        "event `twices` holds `Twice`, an untagged enum that holds itself: each level of a payload \
         multiplies the time that it takes to decode; give `Twice` a tag with `#[serde(tag = \"..\")]`, \
         or bound the payload: `#[event(depth = 7)]`"
    );
}

#[tokio::test]
async fn room_with_recursive_untagged_enum_is_not_created() {
    let room = || RoomConfig::new("X");
    for (config, holds) in [
        (room().event::<Twices>(), "`Twice`"),
        (room().event::<Onces>(), "`Once`"),
        (room().event::<Arounds>(), "`Around`"),
        (room().event::<Endlesses>(), "`Endless`"),
        (room().event::<OneUntaggeds>(), "`OneUntagged`"),
        (room().event::<Itself>(), "`Itself`"),
        (room().event::<DeepTwices>(), "`#[event(depth = 7)]`"),
    ] {
        let mistake = refused(config).await;
        assert!(mistake.contains(holds), "{mistake}");
    }
    // No depth helps.
    let mistake = refused(room().event::<ShallowEndlesses>()).await;
    assert!(!mistake.contains("depth"), "{mistake}");
}

#[tokio::test]
async fn room_with_other_recursive_types_is_created() {
    let dialogue = Dialogue::builder(Grown).build().await.unwrap();
    let config = RoomConfig::new("X")
        .event::<Linkeds>()
        .event::<Trees>()
        .event::<Externals>()
        .event::<Internals>()
        .event::<Adjacents>()
        .event::<Flats>()
        .event::<ShallowTwices>()
        .event::<ShallowOnces>()
        .server_event::<Twices>();
    dialogue.create_room("x", config).await.unwrap();
}

#[tokio::test]
async fn payload_deeper_than_its_event_says_is_invalid() {
    let server = Server::with_limits(Grown, unpaced()).await;
    let config = RoomConfig::new("X").event::<ShallowOnces>();
    server.dialogue.create_room("x", config).await.unwrap();
    let mut ann = server.join("ann", "x").await;
    let deep = |levels: usize| {
        let lists = (1..levels).fold(json!("leaf"), |held, _| json!([held]));
        json!({ "held": lists })
    };
    assert_eq!(ann.trigger("x", "shallow-onces", deep(8)).await["ok"], true);
    let answer = ann.trigger("x", "shallow-onces", deep(9)).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    assert_eq!(
        answer["issues"],
        json!([{
            "path": "",
            "code": "depth",
            "message": "nests deeper than 8 levels",
            "params": { "max": 8 },
        }])
    );
}
