use dialogue::{App, Client, Context, Deny, Event, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[before]
    async fn check(_: &Context<Other, Room>, _: &mut Ping) -> Result<(), Deny> {
        Ok(())
    }

    #[on]
    async fn count(_: &Context<Other, Room>, _: &EventMessage<Ping>) {}

    #[joined]
    async fn greet(_: &Context<Chat, Room>, _: &Client<Other>) {}
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

#[dialogue::app(rooms())]
impl App for Other {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

fn main() {}
