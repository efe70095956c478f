//! The lobby: one room that is always there, and those that its visitors create.

use dialogue::{
    App, Client, CreateRoom, Deny, Event, Handshake, RoomConfig,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use validator::Validate;

/// What somebody says in a room.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "message", history = 50, rate = "5/s")]
pub(crate) struct Message {
    #[validate(length(min = 1, max = 500))]
    pub(crate) text: String,
}

/// Always open.
#[dialogue::room("lobby", name = "Lobby", events(Message), sync_history = 20)]
pub(crate) mod hall {}

/// The application. It has no state of its own.
pub(crate) struct Lobby;

#[dialogue::app(rooms(hall))]
impl App for Lobby {
    // Anyone may be anyone: fine for a demo, and said in so many words.
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    /// Anyone may create a room; what happens in it is ours to say.
    async fn create_room(&self, _: &Client<Self>, request: CreateRoom) -> Result<RoomConfig, Deny> {
        if request.name.to_lowercase().contains("lobby") {
            return Err(Deny::new("there is one lobby"));
        }
        let roll = json!({ "type": "integer", "minimum": 1, "maximum": 6 });
        let config = request.config().event::<Message>().event_with_schema("roll", roll);
        Ok(config.sync_history(20))
    }
}
