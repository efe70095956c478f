//! A lobby, and rooms that clients create.

use dialogue::{
    App, Client, CreateRoom, Deny, Event, Handshake, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use validator::Validate;

/// A chat message.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "message", history = 50, rate = "5/s")]
pub(crate) struct Message {
    #[validate(length(min = 1, max = 500))]
    pub(crate) text: String,
}

/// The lobby is declared, so it always exists.
#[dialogue::room("lobby", name = "Lobby", events(Message), sync_history = 20)]
pub(crate) mod hall {}

/// The application. It has no state of its own.
pub(crate) struct Lobby;

#[dialogue::app(rooms(hall))]
impl App for Lobby {
    // Clients choose their user id without proof. Do not use this in production.
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    /// Every client may create a room. The app decides which events the room has.
    async fn create_room(&self, _: &Client<Self>, request: CreateRoom) -> Result<RoomConfig, Deny> {
        if request.name.to_lowercase().contains("lobby") {
            return Err(Deny::new("there is one lobby"));
        }
        let roll = json!({ "type": "integer", "minimum": 1, "maximum": 6 });
        let config = request.config().event::<Message>().event_with_schema("roll", roll);
        Ok(config.sync_history(20))
    }
}
