//! The chat itself: its events, its room, its app.

use dialogue::{
    App, Client, Context, Deny, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// Chat message sent by a user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "message", history = 100)]
pub(crate) struct Message {
    /// What it says.
    #[validate(length(min = 1, max = 2000))]
    pub(crate) text: String,
    /// Who wrote it.
    pub(crate) sender_id: String,
    /// The message that it answers.
    pub(crate) reply_to: Option<String>,
}

/// The sender started or stopped typing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Typing {
    pub(crate) is_typing: bool,
}

/// Somebody entered the room.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "user:joined")]
pub(crate) struct UserJoined {
    pub(crate) user_id: String,
    pub(crate) username: String,
}

/// Somebody left the room.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "user:left")]
pub(crate) struct UserLeft {
    pub(crate) user_id: String,
}

/// Public chat room for everyone.
#[dialogue::room(
    "general",
    app = Chat,
    name = "General Chat",
    events(Message, Typing),
    server_events(UserJoined, UserLeft),
    subscribe(Message, UserJoined, UserLeft),
    sync_history = 50,
)]
pub(crate) mod general {
    use super::*;

    #[joined]
    async fn announce(cx: &Context<Chat, Room>, client: &Client<Chat>) {
        let user_id = client.user_id().to_owned();
        let joined = UserJoined { username: user_id.clone(), user_id };
        cx.room().trigger(joined).from(client.user_id()).await.ok();
    }

    #[left]
    async fn say_goodbye(cx: &Context<Chat, Room>, client: &Client<Chat>) {
        let left = UserLeft { user_id: client.user_id().to_owned() };
        cx.room().trigger(left).from(client.user_id()).await.ok();
    }
}

/// The application. It has no state of its own.
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
