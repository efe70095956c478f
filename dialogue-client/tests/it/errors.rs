//! What goes wrong without being asked for.

use dialogue_client::{ClientError, Room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    app::{Blink, square},
    server::{Server, soon},
};

/// What a program believes `blink` to be that was built long ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, dialogue::Event)]
#[event(name = "blink")]
struct OldBlink {
    eye: String,
}

#[dialogue::room("square", events(OldBlink))]
mod old_square {}

#[tokio::test]
async fn an_event_of_another_shape_is_told_and_skipped() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let mut errors = ann.errors();
    let square: Room<old_square::Room> = ann.join(old_square::Room).await.unwrap();
    let mut blinks = square.on::<OldBlink>();
    let town = server.dialogue.room(square::Room);
    town.trigger(Blink { n: 1 }).await.unwrap();
    let next = tokio::spawn(async move { blinks.next().await });
    let error = soon(errors.next()).await.unwrap();
    let ClientError::Unreadable { event, issues } = &*error else { panic!("{error}") };
    assert_eq!((&**event, &*issues[0].code), ("blink", "missing_field"));
    ann.close().await;
    assert_eq!(soon(next).await.unwrap(), None);
}
