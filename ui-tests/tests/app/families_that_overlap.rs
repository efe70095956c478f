use dialogue::{App, Deny, Event, Handshake, auth::{ClaimedUser, TrustClientUserId}};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("doc:{id}", events(Ping))]
mod document {
    #[derive(Clone)]
    pub struct Room {
        pub id: u32,
    }
}

#[dialogue::room("doc:{page}", events(Ping))]
mod page {
    #[derive(Clone)]
    pub struct Room {
        pub page: u32,
    }
}

struct Chat;

#[dialogue::app(rooms(document, page))]
impl App for Chat {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(&self, who: TrustClientUserId, handshake: &Handshake) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}

fn main() {}
