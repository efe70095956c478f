use dialogue::{App, Client, Context, Deny, Event, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[before]
    async fn check(_: &Context<Chat, Room>, _: &mut Ping) -> Result<(), Deny> {
        Ok(())
    }

    #[on]
    async fn count(_: &Context<Chat, Room>, _: &EventMessage<Ping>) {}
}

struct Chat;

impl App for Chat {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn connected(&self, _: &Client<Self>) {}
}

fn main() {}
