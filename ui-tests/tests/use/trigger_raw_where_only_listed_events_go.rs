use dialogue::{App, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Welcome;

#[dialogue::room("general", events(Ping))]
mod general {
}

struct Chat;

#[dialogue::app(rooms(general))]
impl App for Chat {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

async fn any(chat: dialogue::Dialogue<Chat>) {
    chat.room(general::Room).trigger_raw("anything", 1).await.ok();
}

fn main() {}
