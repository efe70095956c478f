use dialogue::{App, Context, Deny, Event, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[on_event]
    async fn count(_: &Context<Chat, Room>, _: &EventMessage<Ping>) {}

    #[dialogue::after]
    async fn count_again(_: &Context<Chat, Room>, _: &EventMessage<Ping>) {}
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
