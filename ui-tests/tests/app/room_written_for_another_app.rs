use dialogue::{App, Client, Context, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[before_join]
    async fn nobody(_: &Context<Chat, Room>, _: &Client<Chat>) -> Result<(), Deny> {
        Err(Deny::new("nobody"))
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

struct Other;

#[dialogue::app(rooms(general))]
impl App for Other {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

fn main() {}
