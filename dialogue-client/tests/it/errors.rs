//! What goes wrong without being asked for.

use dialogue_client::{ClientError, ErrorCode, Room, TriggerError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    app::{Blink, Scarce, square},
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

/// What a program believes `scarce` to be that counts less far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, dialogue::Event)]
#[event(name = "scarce", history = 3)]
struct TinyScarce {
    n: u8,
}

#[dialogue::room("square", events(TinyScarce))]
mod tiny_square {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, dialogue::Event)]
struct Gauge {
    celsius: Vec<f64>,
}

#[dialogue::room("square", events(Gauge))]
mod gauges {}

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

#[tokio::test]
async fn stored_event_of_another_shape_is_unreadable_in_history() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square: Room<tiny_square::Room> = ann.join(tiny_square::Room).await.unwrap();
    let town = server.dialogue.room(square::Room);
    for n in [1, 1_000, 2] {
        town.trigger(Scarce { n }).await.unwrap();
    }
    let page = square.history::<TinyScarce>().await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.data.n).collect::<Vec<_>>(), [2, 1]);
    let [unreadable] = &*page.unreadable else { panic!("{page:?}") };
    assert_eq!((&*unreadable.event, unreadable.position.unwrap().seq), ("scarce", 2));
    assert_eq!(unreadable.issues[0].path, "n");
    assert_eq!(page.older, None);
}

#[tokio::test]
async fn trigger_with_a_number_that_is_not_finite_is_rejected_with_its_path() {
    let server = Server::start().await;
    let ann = server.connect("ann").await;
    let square: Room<gauges::Room> = ann.join(gauges::Room).await.unwrap();
    for celsius in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = square.trigger(Gauge { celsius: vec![0.0, celsius] }).await.unwrap_err();
        let TriggerError::Invalid(issues) = error else { panic!("{error}") };
        assert_eq!((&*issues[0].path, &*issues[0].code), ("celsius[1]", "finite"));
    }
    // The server, not this client, says that the room has no such event.
    let error = square.trigger(Gauge { celsius: vec![0.0] }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::EventNotAllowed));
}
