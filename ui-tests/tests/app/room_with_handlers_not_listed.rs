use dialogue::{App, Context, Deny, Event, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("general", app = Chat, events(Ping))]
mod general {
    use super::*;

    #[on]
    async fn count(_: &Context<Chat, Room>, _: &EventMessage<Ping>) {}
}

#[dialogue::room("hall", events(Ping))]
mod hall {}

#[dialogue::handlers(hall, app = Chat)]
mod hall_handlers {
    use super::{hall::Room, *};

    #[on]
    async fn count(_: &Context<Chat, Room>, _: &EventMessage<Ping>) {}
}

struct Chat;

#[dialogue::app(rooms())]
impl App for Chat {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

fn main() {}
