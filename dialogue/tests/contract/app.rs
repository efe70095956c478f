//! The app that is troubled.

use dialogue::{
    AnyRoom, App, Client, Deny, Event, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// What producers send.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 1_000_000)]
pub struct Tick {
    pub producer: String,
    pub n: u64,
    #[serde(default)]
    pub ballast: String,
}

/// The same by another name, for those who listen to one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
#[event(history = 1_000_000)]
pub struct Tock {
    pub producer: String,
    pub n: u64,
    #[serde(default)]
    pub ballast: String,
}

/// Nobody minds if it is lost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Event)]
pub struct Blink {
    pub ballast: String,
}

#[dialogue::room("square", app = Town, events(Tick, Tock, Blink), subscribe(Tick, Tock))]
pub mod square {}

pub struct Town {
    /// Who left.
    pub left: broadcast::Sender<String>,
}

impl Default for Town {
    fn default() -> Self {
        Self { left: broadcast::Sender::new(1_024) }
    }
}

#[dialogue::app(rooms(square))]
impl App for Town {
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }

    async fn left(&self, client: &Client<Self>, _: &AnyRoom<Self>) {
        let _ = self.left.send(client.user_id().to_owned());
    }
}
