//! Payloads that JSON cannot hold are rejected, and stored events that are not of their type are reported.

use dialogue::{
    App, Client, Context, Deny, Event, EventMessage, Handshake, Issues, Meta, Position, RawMessage,
    SendError, TriggerError,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use validator::Validate;

use crate::server::Server;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(history = 5)]
struct Reading {
    #[validate(range(min = 0.0, max = 100.0))]
    relative_humidity: f64,
    wind: Option<f64>,
}

/// The same without history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
struct Glimpse {
    celsius: f64,
}

#[dialogue::room("station", app = Weather, events(Reading, Glimpse))]
mod station {
    use super::*;

    #[before]
    async fn calibrate(_: &Context<Weather, Room>, glimpse: &mut Glimpse) -> Result<(), Deny> {
        // At 4 degrees, it divides by zero.
        glimpse.celsius = 1.0 / (glimpse.celsius - 4.0);
        Ok(())
    }
}

#[dialogue::room("anything", app = Weather, events(any))]
mod anything {}

struct Weather;

#[dialogue::app(rooms(station, anything), direct(Glimpse))]
impl App for Weather {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn load(&self, room_id: &str, event: &str, _: std::ops::Range<usize>) -> Vec<RawMessage> {
        // From when humidity was a word.
        let data = serde_json::value::to_raw_value(&json!({ "relativeHumidity": "damp" }));
        vec![EventMessage::new(event.to_owned(), room_id, data.unwrap())]
    }

    async fn connected(&self, client: &Client<Self>) {
        let error = client.send(Glimpse { celsius: f64::NAN }).await.unwrap_err();
        let SendError::Invalid(issues) = error else { panic!("{error}") };
        assert_eq!(paths(&issues), ["celsius finite"]);
        client.send(Glimpse { celsius: 1.0 }).await.unwrap();
    }
}

fn paths(issues: &Issues) -> Vec<String> {
    issues.iter().map(|issue| format!("{} {}", issue.path, issue.code)).collect()
}

fn rejected(error: TriggerError) -> Vec<String> {
    let TriggerError::Invalid(issues) = error else { panic!("{error}") };
    paths(&issues)
}

#[tokio::test]
async fn trigger_with_a_number_that_is_not_finite_is_rejected_with_its_path() {
    let server = Server::start(Weather).await;
    let room = server.dialogue.room(station::Room);
    let reading = |relative_humidity, wind| Reading { relative_humidity, wind };
    for (wrong, path) in [
        (reading(f64::NAN, None), "relativeHumidity finite"),
        (reading(1.0, Some(f64::INFINITY)), "wind finite"),
    ] {
        assert_eq!(rejected(room.trigger(wrong).await.unwrap_err()), [path]);
    }
    let error = room.trigger(Glimpse { celsius: f64::NEG_INFINITY }).await.unwrap_err();
    assert_eq!(rejected(error), ["celsius finite"]);
    let anything = server.dialogue.room(anything::Room);
    let error = anything.trigger_raw("any", [0.0, f64::NAN]).await.unwrap_err();
    assert_eq!(rejected(error), ["[1] finite"]);
    let trigger = room.trigger(reading(1.0, Some(2.0))).meta("gust", f64::NAN);
    let error = trigger.await.unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");

    room.trigger(reading(1.0, Some(2.0))).await.unwrap();
    let stored = room.history::<Reading>(0..1).await.unwrap().events;
    assert_eq!(stored[0].data, reading(1.0, Some(2.0)));
}

#[tokio::test]
async fn before_handler_that_makes_a_number_infinite_has_the_trigger_rejected() {
    let server = Server::start(Weather).await;
    let mut ann = server.join("ann", "station").await;
    let answer = ann.trigger("station", "glimpse", json!({ "celsius": 4.0 })).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    assert_eq!(answer["issues"][0]["path"], "celsius");
    assert_eq!(ann.trigger("station", "glimpse", json!({ "celsius": 5.0 })).await["ok"], true);
}

#[tokio::test]
async fn event_sent_to_one_client_with_a_number_that_is_not_finite_is_rejected() {
    let server = Server::start(Weather).await;
    let mut ann = server.connect("ann").await;
    assert_eq!(ann.event().await, ("glimpse".into(), json!({ "celsius": 1.0 })));
}

#[test]
fn meta_with_a_number_that_is_not_finite_is_rejected() {
    let mut meta = Meta::new();
    let error = meta.insert("gust", json!(1.0).as_f64().map(|one| one / 0.0)).unwrap_err();
    assert!(error.to_string().contains("must be a finite number"), "{error}");
    assert!(meta.is_empty());
}

#[tokio::test]
async fn stored_event_that_is_not_of_its_type_is_unreadable_in_typed_history() {
    let server = Server::start(Weather).await;
    let room = server.dialogue.room(station::Room);
    room.trigger(Reading { relative_humidity: 1.0, wind: None }).await.unwrap();
    let page = room.history::<Reading>(0..5).await.unwrap();
    assert_eq!(page.events.len(), 1);
    assert_eq!(page.events[0].position.map(|Position { seq, .. }| seq), Some(1));
    let [unreadable] = &*page.unreadable else { panic!("{page:?}") };
    assert_eq!((&*unreadable.event, unreadable.position), ("reading", None));
    assert_eq!(paths(&unreadable.issues), ["relativeHumidity invalid_type"]);
    assert_eq!(room.any().history_raw("reading", 0..5).await.unwrap().len(), 2);
}
