use dialogue::{App, Deny, Dialogue, Event, Handshake, TriggerError, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

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

async fn trigger(chat: Dialogue<Chat>) -> Result<(), TriggerError> {
    chat.room(general::Room).trigger(Ping)?;
    Ok(())
}

fn main() {}
