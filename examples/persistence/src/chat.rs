//! The chat itself: its event, its room, its app.

use dialogue::{
    App, Deny, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// What somebody says; who, the server proves. The database keeps the last million.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "message", history = 1_000_000)]
pub(crate) struct Message {
    #[validate(length(min = 1, max = 2000))]
    pub(crate) text: String,
}

/// For everyone. Whoever comes in sees the last fifty messages, and asks for older ones.
#[dialogue::room("general", name = "General Chat", events(Message), sync_history = 50)]
pub(crate) mod general {}

/// The application. It has no state of its own: that is the store's.
pub(crate) struct Chat;

#[dialogue::app(rooms(general))]
impl App for Chat {
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
}
