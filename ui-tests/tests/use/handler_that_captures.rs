use std::sync::{Arc, atomic::{AtomicU32, Ordering}};

use dialogue::{App, Deny, Dialogue, Event, EventMessage, Handshake, auth::{ClaimedUser, TrustClientUserId}};
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

fn watch(chat: Dialogue<Chat>, counts: Vec<AtomicU32>) {
    let all = chat.room(general::Room);
    all.on(async move |_: Arc<EventMessage<Ping>>| {
        counts[0].fetch_add(1, Ordering::Relaxed);
    })
    .keep();
    let name = String::from("ann");
    all.before(async move |ping: EventMessage<Ping>| {
        if ping.from == name { Err(Deny::new("not ann")) } else { Ok(ping) }
    })
    .keep();
}

fn main() {}
