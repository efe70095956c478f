use dialogue::{App, Deny, Dialogue, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
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

// A closure's type is printed with the path of this file, whose length differs from machine to machine.
async fn forget<T>(message: T) {
    drop(message);
}

fn watch(chat: Dialogue<Chat>) {
    chat.room(general::Room).on(forget).keep();
}

fn main() {}
