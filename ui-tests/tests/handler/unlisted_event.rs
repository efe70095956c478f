use dialogue::{App, Context, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Pong;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[before]
    async fn tidy(_: &Context<Chat, Room>, _: &mut Pong) -> Result<(), Deny> {
        Ok(())
    }
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

fn main() {}
