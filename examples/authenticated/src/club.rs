//! The club: a lounge for everybody with a token, and a room for VIPs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dialogue::{
    App, Client, Context, Deny, Event, Handshake, Identity,
    auth::{JwtVerifier, Token},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// What a token says of its bearer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) role: Role,
    exp: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Role {
    Guest,
    Vip,
}

impl Identity for Claims {
    fn user_id(&self) -> &str {
        &self.sub
    }

    fn expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.exp))
    }
}

/// What somebody says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
#[event(name = "message", history = 20)]
pub(crate) struct Message {
    #[validate(length(min = 1, max = 500))]
    pub(crate) text: String,
}

/// Sent to a client that has just connected.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate, Event)]
pub(crate) struct Welcome {
    #[validate(length(min = 1, max = 20))]
    pub(crate) role: String,
}

/// For everybody.
#[dialogue::room("lounge", name = "Lounge", events(Message), sync_history = 20)]
pub(crate) mod lounge {}

/// For VIPs.
#[dialogue::room("vip", app = Club, name = "VIP room", events(Message), sync_history = 20)]
pub(crate) mod vip {
    use super::*;

    #[before_join]
    async fn is_vip(_: &Context<Club, Room>, client: &Client<Club>) -> Result<(), Deny> {
        match client.identity().role {
            Role::Vip => Ok(()),
            Role::Guest => Err(Deny::new("VIP access required")),
        }
    }
}

/// The application.
pub(crate) struct Club {
    jwt: JwtVerifier<Claims>,
}

impl Club {
    pub(crate) fn new(jwt: JwtVerifier<Claims>) -> Self {
        Self { jwt }
    }
}

#[dialogue::app(rooms(lounge, vip), direct(Welcome))]
impl App for Club {
    type Credentials = Token;
    type Identity = Claims;

    async fn authenticate(&self, login: Token, _: &Handshake) -> Result<Claims, Deny> {
        self.jwt.verify(login.as_str()).map_err(Deny::from)
    }

    async fn connected(&self, client: &Client<Self>) {
        let role = match client.identity().role {
            Role::Vip => "a VIP",
            Role::Guest => "a guest",
        };
        client.send(Welcome { role: role.to_owned() }).await.ok();
    }
}
